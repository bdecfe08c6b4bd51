"""The figure of the size penalty and the command that draws it."""

import numpy as np
import pytest

from nnunetv2_sizepenalty.cli.main import main
from nnunetv2_sizepenalty.figures.size_penalty import size_penalty_figure


def curves(axes) -> list[tuple[np.ndarray, np.ndarray]]:
    return [tuple(np.asarray(data, dtype=float) for data in line.get_data()) for line in axes.lines]


@pytest.mark.parametrize(("tau", "cap"), [(600.0, 10.0), (40.0, 0.5)])
def test_curves_are_the_formula_for_this_tau_and_cap(tau, cap):
    weight, error, penalty, slope = size_penalty_figure(tau, cap).axes
    volume, height = curves(weight)[0]
    np.testing.assert_allclose(height, np.exp(-volume / tau))
    ratio, height = curves(error)[0]
    np.testing.assert_allclose(height, np.abs(ratio - 1), atol=1e-6)

    volumes = [float(text.get_text().split("=")[1]) for text in penalty.get_legend().get_texts()]
    assert tau in volumes
    for reference, (ratio, height) in zip(volumes, curves(penalty), strict=False):
        np.testing.assert_allclose(height, np.minimum(cap, np.exp(-reference / tau) * np.abs(ratio - 1)), atol=1e-4)
        assert height.max() == cap

    for index, reference in enumerate(volumes):
        (ratio, before), (_, visible), _ = curves(slope)[3 * index : 3 * index + 3]
        np.testing.assert_allclose(before, np.exp(-reference / tau) / reference, rtol=1e-4)
        capped = np.exp(-reference / tau) * np.abs(ratio - 1) / (1 + 1e-5 / reference) >= cap
        np.testing.assert_array_equal(np.isnan(visible), capped)


@pytest.mark.parametrize(("suffix", "magic"), [(".PNG", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_writes_the_format_of_the_suffix(tmp_path, suffix, magic):
    file = tmp_path / f"loss{suffix}"
    assert main(["plot-loss", "-o", str(file), "--tau", "300", "--cap", "5"]) == 0
    assert file.read_bytes().startswith(magic)
    # nothing of the hour of writing: the same bytes at every call
    assert b"Date" not in file.read_bytes()
    assert b"dc:date" not in file.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["-o", "loss.jpeg2"], ".png, .svg, .pdf", id="unknown suffix"),
        pytest.param(["-o", "loss"], ".png, .svg, .pdf", id="no suffix"),
        pytest.param(["-o", "loss.png", "--tau", "0"], "--tau 0", id="tau 0"),
        pytest.param(["-o", "loss.png", "--cap", "-1"], "--cap -1", id="negative cap"),
        pytest.param(["-o", "loss.png", "--tau", "nan"], "--tau nan", id="tau not a number"),
        pytest.param(["--interactive", "-o", "loss.png"], "ends in .html", id="a page named .png"),
        pytest.param(["-o", "loss.html"], "needs --interactive", id="a figure named .html"),
        pytest.param(["--interactive", "-o", "loss.html", "--tau", "-3"], "--tau -3", id="a page of negative tau"),
    ],
)
def test_bad_input_is_refused_in_one_line(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["plot-loss", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
