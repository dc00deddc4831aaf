"""What is measured while rows stream by: spreads, repeats, languages, splits."""

from __future__ import annotations

import random
from collections import Counter
from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.data.languages import language_of, shares
from headstart.data.profile import Sample
from headstart.data.repeats import SPLIT_CODES, Repeats, hashes_of
from headstart.data.spreads import Spread
from tests.data.media_files import archive, image, recording

RANKS = {"p5": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}


@given(st.lists(st.lists(st.integers(0, 10**9), max_size=50), max_size=5))
def test_quantiles_are_those_of_sorting_within_a_hundredth(batches):
    spread = Spread(whole=True)
    for batch in batches:
        spread.add(np.array(batch, np.float64))
    values = sorted(value for batch in batches for value in batch)
    found = spread.quantiles()
    if not values:
        assert found is None
        return
    assert found is not None
    assert (found.min, found.max) == (values[0], values[-1])
    for name, rank in RANKS.items():
        exact = values[int(rank * (len(values) - 1))]
        assert abs(getattr(found, name) - exact) <= 0.0101 * exact + 0.5  # and half for rounding


def test_a_spread_keeps_no_more_for_more_numbers():
    spread = Spread(whole=False)
    spread.add(np.geomspace(1e-6, 1e6, 100_000))
    assert len(spread._buckets) < 1_500


def repeats(bound: int, rows: list[tuple[int, str]], *, divided: bool = True):
    counter = Repeats(bound)
    for start in range(0, len(rows), 100):
        part = rows[start : start + 100]
        digests = [blake2b(str(content).encode(), digest_size=8).digest() for content, _ in part]
        counter.add(hashes_of(digests), np.array([SPLIT_CODES.get(split, 0) for _, split in part], np.uint8))
    return counter.result(divided=divided)


def test_repeated_rows_are_counted_within_and_across_splits():
    rng = random.Random(0)
    rows = [(rng.randrange(300), rng.choice(["train", "validation", "test", ""])) for _ in range(1_000)]
    found = repeats(10_000, rows)
    held = {split: Counter(content for content, here in rows if here == split) for split in ("train", "validation", "test")}
    across = {
        f"{later}-{earlier}": sum(count for content, count in held[later].items() if content in held[earlier])
        for later, earlier in [("validation", "train"), ("test", "train"), ("test", "validation")]
    }
    assert (found.rows, found.across_splits, found.exact) == (1_000 - len({content for content, _ in rows}), across, True)
    assert repeats(10_000, rows, divided=False).across_splits is None
    assert repeats(10_000, []) is None


def test_beyond_the_bound_repeats_are_estimated():
    rng = random.Random(1)
    rows = [(rng.randrange(20_000), rng.choice(["train", "test"])) for _ in range(60_000)]
    found = repeats(8_000, rows)
    assert not found.exact
    assert found.rows == pytest.approx(60_000 - len({content for content, _ in rows}), rel=0.1)
    train = {content for content, split in rows if split == "train"}
    assert found.across_splits["test-train"] == pytest.approx(sum(split == "test" and content in train for content, split in rows), rel=0.1)


@pytest.mark.parametrize("others", [0, 300, 20_000])
def test_a_content_that_more_rows_have_than_the_bound_is_counted_as_repeated(others):
    rows = [(0, ("train", "test")[number % 2]) for number in range(40_000)]
    rows += [(1 + number % others, "train") for number in range(2 * others)]
    random.Random(2).shuffle(rows)
    found = repeats(8_000, rows)
    assert found.exact == (others < 6_000)
    if found.exact:
        assert (found.rows, found.across_splits["test-train"]) == (39_999 + others, 20_000)


def test_a_sample_is_spread_evenly_over_all_rows():
    sample = Sample(10)
    numbers = [str(number) for number in range(1_003)]
    for start in range(0, len(numbers), 97):
        sample.add(numbers[start : start + 97])
    assert sample.texts == [str(number) for number in range(0, 1_003, 128)]


SENTENCES = {
    "en": "I don't know what this film was about, and it was much too long for me.",
    "de": "Der Film war mir viel zu lang, und ich weiß nicht, worum es ging.",
    "fr": "Je ne sais pas de quoi parle le film, et il est bien trop long pour moi.",
    "es": "No sé de qué trata la película, pero es muy larga para mí.",
    "it": "Non so di che cosa parla il film, ma è molto lungo per me.",
    "pt": "Não sei do que trata o filme, mas é muito longo para mim.",
    "nl": "Ik weet niet waar de film over gaat, maar het is voor mij te lang.",
    "sv": "Jag vet inte vad filmen handlar om, men den är för lång för mig.",
    "pl": "Nie wiem, o czym jest ten film, ale jest dla mnie za długi.",
    "tr": "Bu film ne anlatıyor bilmiyorum ama benim için çok uzun.",
    "ru": "Я не знаю, о чём этот фильм, но он слишком длинный.",
    "uk": "Я не знаю, про що цей фільм, але він для мене задовгий, їй-богу.",
    "bg": "Не знам за какво е филмът, но е твърде дълъг за мен.",
    "zh": "我不知道這部電影在講什麼，但是太長了。",
    "ja": "この映画が何の話か分かりませんが、長すぎます。",
    "ko": "이 영화가 무슨 내용인지 모르겠지만 너무 길어요.",
    "ar": "لا أعرف عن ماذا يتحدث هذا الفيلم ولكنه طويل جدا.",
    "fa": "نمی‌دانم این فیلم درباره چیست اما برای من گرچه پر از صحنه‌های زیباست.",
    "he": "אני לא יודע על מה הסרט הזה אבל הוא ארוך מדי.",
    "el": "Δεν ξέρω τι λέει η ταινία, αλλά είναι πολύ μεγάλη.",
    "hi": "मुझे नहीं पता कि यह फ़िल्म किस बारे में है।",
    "th": "ฉันไม่รู้ว่าหนังเรื่องนี้เกี่ยวกับอะไร",
    "und": "Hmm. 12:30",
}


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_is_told_by_its_script_and_its_common_words(language):
    assert language_of(SENTENCES[language]) == language


def test_a_foreign_name_does_not_change_the_language():
    assert language_of("The film 東京物語 is the one that I like most of all of them") == "en"
    assert language_of("我喜歡 Headstart 這個 API") == "zh"


def test_shares_are_of_the_texts_the_commonest_first():
    assert list(shares([SENTENCES["en"]] * 3 + [SENTENCES["zh"]]).items()) == [("en", 0.75), ("zh", 0.25)]


def test_a_column_of_texts_is_described(reader):
    texts = ["A great film that I liked.", " a  GREAT film that I liked.", "好", "?", "-", "x", "Another of them, and it was long.", ""]
    splits = ["train", "test", "train", "validation", "test", "train", "test", "train"]
    rows = "".join(
        f'"{text}",{split},{"pos" if number % 2 else "neg"}\n' for number, (text, split) in enumerate(zip(texts, splits, strict=True))
    )
    profile = reader.read("text,split,label\n" + rows)
    text = profile.column("text")
    assert profile.split_column == "split"
    assert (text.near_empty, text.lengths.min, text.lengths.max, text.missing) == (3, 1, 33, 1)
    assert text.duplicates.model_dump() == {
        "rows": 1,
        "across_splits": {"validation-train": 0, "test-train": 1, "test-validation": 0},
        "exact": True,
    }
    assert text.languages == {"und": pytest.approx(3 / 7), "en": pytest.approx(3 / 7), "zh": pytest.approx(1 / 7)}
    label = profile.column("label")
    assert label.split_values == {"train": {"neg": 2, "pos": 2}, "test": {"pos": 1, "neg": 2}, "validation": {"pos": 1}}
    assert label.languages is label.near_empty is label.duplicates is label.lengths is None


def test_a_column_with_another_word_among_the_splits_says_none(reader):
    rows = [f"text {number},{'train' if number % 2 else 'test'}" for number in range(5_000)]
    assert reader.read("text,split\n" + "\n".join(rows)).split_column == "split"
    profile = reader.read("text,split\n" + "\n".join([*rows, "last,spare"]))
    assert profile.split_column is None
    assert profile.column("text").duplicates.across_splits is None
    assert reader.read("text,vehicle\na,train\nb,train\n").split_column is None


def test_sizes_of_images_and_lengths_of_recordings_are_told(reader):
    files = {f"{number % 2}/{number}.png": image(number, (10 + number, 20)) for number in range(5)} | {"0/9.png": image(0, (10, 20))}
    column = reader.read(archive(files), "zip").column("image")
    assert (column.widths.min, column.widths.median, column.widths.max, column.heights.max) == (10, 11, 14, 20)
    assert column.duplicates.rows == 1
    sounds = {f"{number % 2}/{number}.wav": recording(seconds=0.5 + number) for number in range(4)}
    column = reader.read(archive(sounds), "zip").column("audio")
    assert (column.seconds.min, column.seconds.max, column.widths) == (0.5, 3.5, None)
    assert sum(column.rates.values()) == 4
