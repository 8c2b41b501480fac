"""What is declared about each setting of a run: its bounds, and its meaning for the run's identity, model and card.

A setting is declared once, in [`TrainingArguments`], with [`setting`]. Whatever needs a list of settings (recipes,
`SpertConfig`, the identity of a run, the model card) derives it from these declarations.
"""

import dataclasses
import math
import operator
from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["result", "source", "handling"]
"""What a setting has to do with the weights that a run ends with.

* `result`: it decides them. Runs that differ in it are different runs.
* `source`: it names a file, a corpus or an encoder, which a run's identity knows by its content.
* `handling`: it does not change them: how a run is displayed and kept, and what happens after it.
"""


@dataclass(frozen=True)
class Meaning:
    """What is declared about a setting.

    Args:
        role: what it has to do with the trained weights.
        in_config: whether it is a field of `SpertConfig`, of the same name.
        on_card: whether the model card lists it.
        secret: whether no file may hold it.
        choices: its values, where these are a closed set.
        at_least, above, at_most, below: bounds of a number.
    """

    role: Role = "result"
    in_config: bool = False
    on_card: bool = False
    secret: bool = False
    choices: tuple[str, ...] | None = None
    at_least: float | None = None
    above: float | None = None
    at_most: float | None = None
    below: float | None = None

    def check(self, where: str, value: Any) -> None:
        """Refuse a value out of bounds, a number that is not finite, and a text that no file can hold.

        Args:
            where: how the message names the setting, such as `--seed`.

        Raises:
            ValueError: the message names the setting, its bounds and the value.
        """
        if value is None:
            return
        if self.choices is not None and value not in self.choices:
            raise ValueError(f"{where}: expected one of {', '.join(self.choices)}, got {value!r}.")
        if isinstance(value, str) and not _is_plain_text(value):
            shown = "another one" if self.secret else repr(value)
            raise ValueError(f"{where}: expected a text that UTF-8 can encode, without null characters, got {shown}.")
        comparisons = (
            (">=", operator.ge, self.at_least),
            (">", operator.gt, self.above),
            ("<=", operator.le, self.at_most),
            ("<", operator.lt, self.below),
        )
        bounds = [(sign, holds, bound) for sign, holds, bound in comparisons if bound is not None]
        if not all(holds(value, bound) for _, holds, bound in bounds):  # no comparison with NaN holds
            expected = " and ".join(f"{sign} {bound}" for sign, _, bound in bounds)
            raise ValueError(f"{where}: expected a number {expected}, got {value}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{where}: expected a finite number, got {value}.")


def _is_plain_text(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate, as for a file name of other bytes
        return False
    return "\0" not in text


def setting(default: Any, help: str, role: Role = "result", **meaning: Any) -> Any:
    """A field of a dataclass of settings.

    Args:
        default: its value where nothing is said.
        help: its line in `--help`.
        role: what it has to do with the trained weights.
        meaning: the other fields of [`Meaning`].
    """
    declared = Meaning(role, **meaning)
    flag = {"help": help} | ({"choices": list(declared.choices)} if declared.choices else {})
    return dataclasses.field(default=default, metadata={"flag": flag, "meaning": declared})


def meanings_of(settings: Any) -> dict[str, Meaning]:
    """What is declared about each setting, by name, in the order of declaration.

    Args:
        settings: a dataclass whose fields are made by [`setting`], or an instance of one.
    """
    return {field.name: field.metadata["meaning"] for field in dataclasses.fields(settings)}
