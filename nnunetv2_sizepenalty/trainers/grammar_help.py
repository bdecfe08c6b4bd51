"""The grammar as tables, for `nnUNetv2_sizepenalty trainers`."""

from rich.table import Table

from nnunetv2_sizepenalty.losses import COMMON_COMBINATIONS, TERMS, term_weights
from nnunetv2_sizepenalty.trainers.names import ATTENTION_ASPP, MODIFIERS, PREFIX, parse


def grammar_tables() -> list[Table]:
    """Combinations, letters and modifiers, as they are parsed."""
    combinations = Table(title="-tr " + PREFIX + "<COMBINATION>[_<modifier>...]", title_justify="left")
    combinations.add_column("combination, any set of letters")
    combinations.add_column("loss (weight x term)")
    for code in COMMON_COMBINATIONS:
        terms = (f"{weight:g} {TERMS[letter].name}" for letter, weight in term_weights(code).items())
        combinations.add_row(code, " + ".join(terms))
    combinations.add_row(ATTENTION_ASPP.removeprefix(PREFIX), "nnU-Net's own loss and recipe on AttentionASPPUNet")

    letters = Table(title="letters", title_justify="left")
    letters.add_column("letter")
    letters.add_column("term")
    for letter, row in TERMS.items():
        letters.add_row(letter, f"{row.name}: {row.meaning}")

    modifiers = Table(title="modifiers, in this order", title_justify="left")
    modifiers.add_column("modifier")
    modifiers.add_column("meaning")
    modifiers.add_row("(none)", "the thesis's recipe, with AttentionASPPUNet")
    for modifier in MODIFIERS:
        modifiers.add_row(
            "_" + modifier.example, modifier.meaning + (f" (only beside {modifier.beside})" if modifier.beside else "")
        )
    return [combinations, letters, modifiers]


def explain(name: str) -> Table | None:
    """What the parts of `name` mean, or None when it is no name of the grammar."""
    parsed = parse(name)
    if parsed is None:
        return None
    table = Table(title=name, title_justify="left", show_header=False)
    for letter, weight in term_weights(parsed.combination, parsed.term_weights).items():
        table.add_row(letter, f"{weight:g} x {TERMS[letter].name}: {TERMS[letter].meaning}")
    if "recipe" not in parsed.values:
        table.add_row("(no recipe named)", "the thesis's recipe, with AttentionASPPUNet")
    for modifier in MODIFIERS:
        if modifier.attribute in parsed.values:
            table.add_row(modifier.attribute, f"{parsed.values[modifier.attribute]}: {modifier.meaning}")
    return table
