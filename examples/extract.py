"""Extract entities and relations with a trained model, as somebody does who has only torch and transformers.

    python examples/extract.py outputs/demo "Vera Lund of Oslo works for Fjellbrand."

The model is a folder or a repository on the Hub; it brings its own code.
"""

import argparse

from transformers import pipeline


def main() -> None:
    """Print what a model finds in a text."""
    parser = argparse.ArgumentParser(description="Extract entities and relations from a text.")
    parser.add_argument("model", help="a folder or a repository on the Hub")
    parser.add_argument("text")
    arguments = parser.parse_args()
    extract = pipeline("entity-relation-extraction", model=arguments.model, trust_remote_code=True)
    result = extract(arguments.text)
    print(result["text"])
    for entity in result["entities"]:
        print(f"  {entity['type']:<14}{entity['text']:<28}{entity['score']:.2f}")
    for relation in result["relations"]:
        head, tail = result["entities"][relation["head"]], result["entities"][relation["tail"]]
        print(f"  {head['text']} -- {relation['type']} --> {tail['text']}  {relation['score']:.2f}")


if __name__ == "__main__":
    main()
