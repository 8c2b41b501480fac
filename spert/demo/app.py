"""What a Space runs: the page of the model that `space.json` beside this file names."""

from pathlib import Path

from spert.demo.space import main

if __name__ == "__main__":
    main(Path(__file__).parent)
