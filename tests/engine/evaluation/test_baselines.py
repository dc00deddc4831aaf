"""Baselines learn what raw inputs tell, and nothing of the rows they are tested on."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

from headstart.engine.evaluation.baselines import Parts, RawBaseline, trivial_baseline
from headstart.engine.evaluation.baselines.sounds import RATE, cepstrum
from headstart.engine.evaluation.baselines.words import word_baselines
from headstart.planning.comparing import MOST_ROWS

TRAIN, TESTED = np.arange(60), np.arange(60, 90)
NONE = np.zeros(0, np.int64)


def _both(problem, modality, examples, targets, train=TRAIN, tested=TESTED, validation=NONE):
    raw = RawBaseline(problem, modality, examples, targets, Parts(train, validation, tested), 0)
    return trivial_baseline(problem, targets[train], len(tested)), raw.baseline(raw.answers())


def _texts(kinds: np.ndarray) -> list[str]:
    words = ["river bank water", "money loan credit", "song dance music"]
    return [f"{words[kind]} {number}" for number, kind in enumerate(kinds)]


def _image(kind: int, chance: np.random.Generator) -> bytes:
    colour = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200]])[kind]
    pixels = np.clip(colour + chance.normal(0, 30, (24, 30, 3)), 0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def _sound(kind: int, chance: np.random.Generator) -> bytes:
    times = np.arange(RATE // 4) / RATE
    file = io.BytesIO()
    wave = np.sin(2 * np.pi * (200, 800, 3_000)[kind] * times) * 0.3 + chance.normal(0, 0.01, len(times))
    soundfile.write(file, wave, RATE, format="WAV")
    return file.getvalue()


@pytest.mark.parametrize("modality", ["text", "image", "audio"])
def test_a_raw_model_finds_what_inputs_tell(modality):
    chance = np.random.default_rng(0)
    kinds = chance.integers(3, size=90)
    examples = {
        "text": lambda: _texts(kinds),
        "image": lambda: [_image(kind, chance) for kind in kinds],
        "audio": lambda: [_sound(kind, chance) for kind in kinds],
    }[modality]()
    guess, raw = _both("single-label", modality, examples, kinds)
    assert (guess.name, raw.name) == ("majority", {"text": "tfidf", "image": "pixels", "audio": "mfcc"}[modality])
    assert (raw.predicted.argmax(axis=1) == kinds[TESTED]).mean() > 0.9
    assert set(guess.predicted.argmax(axis=1)) == {np.bincount(kinds[TRAIN]).argmax()}
    assert raw.note.endswith("trained on all 60 training rows, tested on all 30.")


def test_several_labels_and_numbers_have_raw_models_too():
    chance = np.random.default_rng(1)
    held = chance.random((90, 3)) < 0.4
    texts = [" ".join(word for word, holds in zip(("red", "green", "blue"), row, strict=True) if holds) or "none" for row in held]
    guess, raw = _both("multi-label", "text", texts, held.astype(np.float32))
    assert ((raw.predicted >= 0) == held[TESTED]).mean() > 0.95
    sets, counts = np.unique(held[TRAIN], axis=0, return_counts=True)
    assert ((guess.predicted >= 0) == sets[counts.argmax()]).all()
    amounts = held @ np.array([1.0, 2.0, 4.0])
    guess, raw = _both("regression", "text", texts, amounts)
    assert guess.name == "mean"
    assert guess.predicted == pytest.approx(amounts[TRAIN].mean())
    assert np.abs(raw.predicted[:, 0] - amounts[TESTED]).mean() < np.abs(guess.predicted[:, 0] - amounts[TESTED]).mean() / 2


def test_what_is_tested_on_changes_nothing_that_was_learnt():
    kinds = np.random.default_rng(2).integers(3, size=90)
    _, raw = _both("single-label", "text", _texts(kinds), kinds)
    others = kinds.copy()
    others[TESTED] = (others[TESTED] + 1) % 3
    _, again = _both("single-label", "text", _texts(kinds), others)
    assert np.array_equal(raw.predicted, again.predicted)


def test_of_more_rows_a_part_is_taken_and_said():
    most = MOST_ROWS["text"]
    rows = most + 500
    kinds = np.arange(rows + 20) % 2
    _, raw = _both("single-label", "text", ["yes" if kind else "no" for kind in kinds], kinds, np.arange(rows), np.arange(rows, rows + 20))
    assert raw.note.endswith(f"trained on {most:,} of {rows:,} training rows, tested on all 20.")
    assert raw.places is None


@pytest.mark.parametrize(
    "texts", [["", " ", "!?"], ["一二三", "一二", "三"], ["a", "b", "c"], [("one", "two"), ("three", "four"), ("", "")]]
)
def test_texts_without_words_are_taken(texts):
    kinds = np.array([0, 1, 0])
    _, raw = _both("single-label", "text", texts, kinds, np.arange(3), np.arange(3))
    assert raw.predicted.shape == (3, 2)
    assert np.isfinite(raw.predicted).all()


def test_a_class_that_no_training_row_has_is_never_said():
    kinds = np.array([0, 2, 0, 2, 1])
    guess, raw = _both("single-label", "text", ["a", "b", "a", "b", "c"], kinds, np.arange(4), np.arange(5))
    assert raw.predicted.argmax(axis=1).tolist()[:4] == [0, 2, 0, 2]
    assert 1 not in raw.predicted.argmax(axis=1)
    assert guess.predicted.shape[1] == 3


def test_a_pure_tone_has_its_energy_in_one_band():
    """The cepstrum turned back is the spectrum, smoothed: its peak lies where the tone does."""
    from scipy.fft import idct

    times = np.arange(RATE // 2) / RATE
    coefficients = cepstrum(np.sin(2 * np.pi * 1_000 * times).astype(np.float32))
    assert coefficients.shape == ((RATE // 2 - 400) // 160 + 1, 20)
    spectrum = idct(np.pad(coefficients.mean(axis=0), (0, 20)), norm="ortho")
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    middle = 700 * (10 ** (top * (spectrum.argmax() + 1) / 41 / 2595) - 1)
    assert middle == pytest.approx(1_000, rel=0.12)


def test_tags_of_words_are_the_commonest_in_training():
    tags = ["B-PER", "O"]
    train = [(["Bo", "ran"], np.array([0, 1])), (["Bo", "Bo"], np.array([0, 1])), (["x"], np.array([-1]))]
    guess, word = word_baselines(train, [["Bo", "slept", "x"], []], tags)
    assert [each.tolist() for each in guess.predicted] == [[1, 1, 1], []]
    assert [each.tolist() for each in word.predicted] == [[0, 1, 1], []]


def test_a_raw_model_is_calibrated_by_the_validation_rows_as_the_model_is():
    chance = np.random.default_rng(3)
    held = (chance.random((120, 1)) < 0.15).astype(np.float32)
    noise = chance.random((120, 1)) < 0.35
    texts = ["alarm" if (row or odd) else "calm" for row, odd in zip(held[:, 0], noise[:, 0], strict=True)]
    _, raw = _both("multi-label", "text", texts, held, validation=np.arange(90, 120))
    assert raw.scoring.temperature is not None
    assert raw.scoring.thresholds is not None
    assert len(raw.predicted) == len(TESTED)
    others = held.copy()
    others[TESTED] = 1 - others[TESTED]
    _, again = _both("multi-label", "text", texts, others, validation=np.arange(90, 120))
    assert again.scoring == raw.scoring
