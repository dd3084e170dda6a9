"""Pictures as characters: axes, directions, shapes, and colours only where there are some."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

from dvo.shell.display import Display, Field, Layer, Style
from dvo.shell.figures import Values, finder_figure, histogram_figure, points_figure
from dvo.shell.terminal_picture import terminal_picture

BRAILLE = re.compile("[⠁-⣿]")


def shown(figure, columns=80, rows=24, *, colours=False):
    return terminal_picture(figure, columns, rows, colours=colours).split("\n")


def y_numbers(lines):
    found = [re.match(r"\s*(-?[\d.]+)│", line) for line in lines]
    return [float(m.group(1)) for m in found if m]


def test_magnitudes_grow_downwards_and_other_numbers_upwards():
    x = Values("colour", np.linspace(0, 1, 50))
    mags = shown(points_figure(x, Values("g", np.linspace(14, 18, 50), "mag")))
    assert y_numbers(mags) == sorted(y_numbers(mags))
    assert len(y_numbers(mags)) > 2
    errors = shown(points_figure(x, Values("g:err", np.linspace(14, 18, 50), "mag")))
    assert y_numbers(errors) == sorted(y_numbers(errors), reverse=True)


def test_points_are_where_they_belong():
    x = Values("x", np.array([0.0, 1.0, 0.0, 1.0]))
    y = Values("y", np.array([0.0, 1.0, 0.0, 1.0]))
    lines = [line.partition("│")[2] for line in shown(points_figure(x, y)) if "│" in line]
    rows = [k for k, line in enumerate(lines) if BRAILLE.search(line)]
    assert rows[0] < len(lines) / 4
    assert rows[-1] > 3 * len(lines) / 4
    assert BRAILLE.search(lines[rows[0]]).start() > 40  # the upper one is at the right
    assert BRAILLE.search(lines[rows[-1]]).start() < 20
    assert len(rows) == 2


def test_everything_fits_into_the_room_and_has_its_names():
    values = Values("flux", np.random.default_rng(1).normal(size=1000), "ct/s")
    lines = shown(histogram_figure(values, 20, "a title"), 60, 20)
    assert len(lines) <= 21
    assert max(map(len, lines)) <= 60
    text = "\n".join(lines)
    assert all(word in text for word in ("flux [ct/s]", "number", "a title"))
    assert "\x1b" not in text


def test_charts_are_as_wide_as_high():
    ra, dec = np.array([10.0, 10.01]), np.array([20.0, 20.01])
    figure = finder_figure(ra, dec, np.array([12.0, 14.0]), (10.0, 20.0), 6.0, "here")
    lines = shown(figure, 120, 30)
    assert "2 objects" in lines[0]
    body = [line for line in lines if "│" in line]
    bottom = next(line for line in lines if "└" in line)
    assert bottom.count("─") == pytest.approx(2 * len(body), abs=2)


def test_colours_are_used_where_there_are_some():
    display = Display()
    display.add(Layer(np.arange(9.0), np.arange(9.0), Style(colour="red")))
    assert "\x1b[38;2;255;0;0m" in "\n".join(shown(display.figure(), colours=True))
    display = Display(sky=Field(10.0, 20.0, 0.5))
    display.add(Layer(np.array([10.0]), np.array([20.0]), Style(), on_sky=True))
    assert "\x1b" not in "\n".join(shown(display.figure(), colours=True))  # black is the ground


def test_east_is_to_the_left():
    display = Display(sky=Field(10.0, 0.0, 1.0))
    display.add(Layer(np.array([10.9]), np.array([0.0]), Style(), on_sky=True))
    lines = [line.partition("│")[2] for line in shown(display.figure()) if "│" in line]
    (at,) = [BRAILLE.search(line).start() for line in lines if BRAILLE.search(line)]
    assert at < 10


def test_a_histogram_of_nothing_and_of_one_value():
    for numbers in ([], [3.0], [np.nan]):
        values = Values("x", np.array(numbers, float))
        assert any("number" in line for line in shown(histogram_figure(values)))
        assert shown(points_figure(values, values))


def test_many_lines_are_still_lines():
    """More ink than ground: what is dark stays what is drawn."""
    figure = Figure()
    axes = figure.subplots()
    for k in range(40):
        axes.plot([0, 0.7], [k / 40, k / 40], color="blue", lw=1)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    body = [line.partition("│")[2] for line in shown(figure, 30, 10) if "│" in line]
    assert any(line.strip() for line in body)
    assert all(len(line.rstrip()) <= 0.75 * 28 for line in body)
