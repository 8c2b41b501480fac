"""The corpora that are known by name."""

from . import ade, conll04, scierc
from .ade import load_ade
from .conll04 import load_conll04
from .scierc import load_scierc

CORPORA = {"conll04": load_conll04, "scierc": load_scierc, "ade": load_ade}
"""What loads each of them."""

CARDS = {"conll04": conll04.CARD, "scierc": scierc.CARD, "ade": ade.CARD}
"""What each of them is and how to cite it, with a place for its tables."""
