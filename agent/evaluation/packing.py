"""Making a reader study: films and both texts of each under names by chance, and the key that tells them apart."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from agent.evaluation.blinding import Dressed, dress, refusal
from agent.evaluation.stock import Stock, stock, unsaid, without
from agent.imaging.decoder import DecoderProcess
from agent.imaging.judging import film_of, is_picture
from agent.imaging.stored import UndecodableImage
from agent.imaging.viewable import of_grays, opened, packed
from agent.manifest import Case
from dicom_node.errors import ConfigurationError, NotFound, WetreadError
from reports.grading.package import FILMS, Item, Package, PackedFilm, item, sha256, write_package

AI: Final = "ai"
ORIGINAL: Final = "original"
SOURCES: Final = (AI, ORIGINAL)
LEAST: Final = 2  # films; of one alone the two reports would follow each other
_FORMAT: Final = "reader-study-key 1"

# What a header may say to raters: words of the standard, never free text, days or institutions.
_CODED: Final = MappingProxyType(
    {
        "modality": frozenset({"CR", "DX", "RG", "DR", "XR"}),
        "view": frozenset({"AP", "PA", "LL", "RL", "LATERAL"}),
        "laterality": frozenset({"L", "R", "B"}),
    }
)
_MEASURED: Final = (  # numbers and words of ours: all that shows the film
    *("width", "height", "bits", "signed", "orientation", "spacing", "lossy", "lowest", "step", "count", "planes"),
    *("padding", "inverted", "shown", "span", "slope", "intercept", "list"),
)
_BLANK: Final = ("taken", "body_part", "photometric", "burned_in")


class ForeignKey(WetreadError):
    """The key does not belong to the package, or was changed."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A film that can be used, with both texts as raters will see them."""

    case: Case
    ai: Dressed
    original: Dressed


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the manifest is used. left_out: why the others are not, with their number.

    stock: sentences that tell the sources apart, still in the texts; dropped: those that were taken out of all texts.
    """

    pairs: tuple[Pair, ...]
    left_out: Mapping[str, int]
    stock: tuple[Stock, ...] = ()
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a study is made. who: what is known of the model that wrote, for the key alone."""

    title: str
    seed: str
    made_at: str
    software: str
    who: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Made:
    """The films of a study. left_out: why others are not in it, with their number.

    burned_in: lines of the manifest whose header says that words stand within the picture; unsaid: how many headers do
    not say whether there are any.
    """

    films: tuple[tuple[PackedFilm, Pair], ...]
    left_out: Mapping[str, int]
    burned_in: tuple[int, ...]
    unsaid: int


def in_turn(cases: Iterable[Case], seed: str) -> list[Case]:
    """The films with a report in an order by chance: which ones are read is drawn before anything is written."""
    found = [case for case in cases if case.report]
    _draw(seed, "reading").shuffle(found)
    return found


def usable(cases: Iterable[Case], texts: Mapping[str, str]) -> int:
    """Of how many films both texts can be shown."""
    return sum(not _reason(case, texts.get(case.id)) for case in cases)


def choose(
    cases: Sequence[Case],
    texts: Mapping[str, str],
    seed: str,
    most: int | None,
    unwanted: Collection[str] = (),
    dropped: Sequence[str] = (),
) -> Choice:
    """The films with both texts; where there are more than `most`, a sample by the seed.

    unwanted: a film is left out where one of its texts has one of these, as `Dressed.tells` names them. dropped:
    sentences that are taken out of all texts, of both sources.

    Raises ConfigurationError: not enough of them; a sentence to drop that no text has.
    """
    pairs, why, dressed = [], Counter[str](), list[Dressed]()
    for case in cases:
        reason = _reason(case, texts.get(case.id))
        if reason:
            why[reason] += 1
            continue
        whole = dress(texts[case.id]), dress(case.report)
        dressed += whole
        pair = Pair(case, *(without(text, dropped) for text in whole))
        if not (pair.ai.words and pair.original.words):
            why["have a text of which nothing is left"] += 1
            continue
        told = next((tell for tell in (*pair.ai.tells, *pair.original.tells) if tell in unwanted), "")
        if told:
            why[f"have a text with {told}"] += 1
        else:
            pairs.append(pair)
    nowhere = unsaid(dressed, dropped)
    if nowhere:
        raise ConfigurationError(
            f"no text has the sentence {nowhere[0]!r} that is to be dropped; is it as texts have it?"
        )
    if most is not None and len(pairs) > most:
        pairs = _draw(seed, "films").sample(pairs, most)
    if len(pairs) < LEAST:
        told = "; ".join(f"{number} {reason}" for reason, number in why.items())
        raise ConfigurationError(
            f"a reader study needs {LEAST} films with a report and an AI text, there are {len(pairs)}"
            f"{f' ({told})' if told else ''}"
        )
    found = stock({source: [getattr(pair, source) for pair in pairs] for source in SOURCES})
    return Choice(tuple(pairs), MappingProxyType(dict(why)), tuple(found), tuple(dropped))


def pack(choice: Choice, recipe: Recipe, folder: Path, key: Path, progress: Callable[[int], None]) -> Made:
    """Write the package into a new folder, and the key beside it, readable by its owner only.

    What is drawn by chance is drawn before any text is looked at: with both columns exchanged the package would be the
    same with the texts exchanged.

    Raises ConfigurationError: folder or key are there already, or too few films can be decoded.
    """
    for path in (folder, key):
        if path.exists():
            raise ConfigurationError(f"{path} is there already: a study is never written over; name another one")
    if key.parent.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError(
            "the key must not lie in the folder of the study: that folder is what raters are served"
        )
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was broken off
    (partial / FILMS).mkdir(parents=True)
    made = _films(choice, recipe.seed, partial / FILMS, progress)
    items, rows = _items(made.films, recipe.seed)
    whole = _key(recipe, rows, made.left_out, choice)
    write_package(
        Package(
            folder=partial,
            title=recipe.title,
            made_at=recipe.made_at,
            software=recipe.software,
            order_seed=sha256(f"{recipe.seed} orders".encode())[:32],
            key_digest=sha256(whole),
            films={film.id: film for film, _ in made.films},
            items={one.id: one for one in items},
        )
    )
    key.parent.mkdir(parents=True, exist_ok=True)
    partial_key = key.with_name(f"{key.name}.partial")  # what a run that is broken off leaves stands in no other's way
    partial_key.unlink(missing_ok=True)
    partial_key.touch(mode=0o600)
    partial_key.write_bytes(whole)
    partial_key.rename(key)  # first: a package whose key is gone could never be counted
    partial.rename(folder)
    return made


def must_be_new(folder: Path, key: Path) -> None:
    """Raises ConfigurationError: folder or key are there already, or the key would lie in the folder."""
    for path in (folder, key):
        if path.exists():
            raise ConfigurationError(f"{path} is there already: a study is never written over; name another one")
    if key.parent.resolve().is_relative_to(folder.resolve()):
        raise ConfigurationError("the key must not lie in the folder of the study, which is what raters are served")


@dataclass(frozen=True, slots=True)
class Told:
    """What the key says of one item. cluster: films of one patient have the same."""

    item: str
    source: str
    case: str
    cluster: str
    words: int
    tells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """Who wrote what, how it was drawn, and what did not come in."""

    told: Mapping[str, Told]
    seed: str
    who: Mapping[str, Any]
    left_out: Mapping[str, int]
    stock: tuple[Stock, ...] = ()
    dropped: tuple[str, ...] = ()


def read_key(path: Path, package: Package) -> Key:
    """Raises NotFound; ForeignKey: it is another study's, or was changed since."""
    if not path.is_file():
        raise NotFound(f"there is no key at {path}: name the one that was written with the study by --key")
    content = path.read_bytes()
    if sha256(content) != package.key_digest:
        raise ForeignKey(f"{path} is not the key that was written with {package.folder}, or was changed since")
    whole = json.loads(content)
    told = {one["item"]: Told(**{**one, "tells": tuple(one["tells"])}) for one in whole["items"]}
    found = tuple(Stock(one["sentence"], one["shares"]) for one in whole.get("stock", ()))
    dropped = tuple(whole.get("dropped", ()))
    return Key(MappingProxyType(told), whole["seed"], whole["who"], whole["left_out"], found, dropped)


def _reason(case: Case, text: str | None) -> str:
    if not case.report:
        return "have no report in the manifest"
    if text is None:
        return "were not read"
    if not text:
        return "have no AI text: the reader could not write one"
    if refusal(text):
        return "have an AI text without words for the report"
    return "have a report without words about the film" if refusal(case.report) else ""


def _films(choice: Choice, seed: str, folder: Path, progress: Callable[[int], None]) -> Made:
    """Every film that can be decoded, under a name by chance."""
    names = _names(_draw(seed, "names"), len(choice.pairs))
    left_out, films, burned_in, unsaid = Counter(choice.left_out), [], [], 0
    with DecoderProcess() as decoder:
        for number, (name, pair) in enumerate(zip(names, choice.pairs, strict=True), start=1):
            try:
                preview, values = _developed(pair.case.image, decoder)
            except UndecodableImage as error:
                left_out[f"cannot be decoded ({error.code})"] += 1
                continue
            header, planes = opened(values)
            said, header = str(header["burned_in"]).upper(), harmless(header)
            burned_in += [pair.case.line] if said == "YES" else []
            unsaid += said not in {"NO", "YES"}
            values = packed(header, planes)
            for suffix, content in (("jpg", preview), ("film", values)):
                (folder / f"{name}.{suffix}").write_bytes(content)
            films.append((PackedFilm(name, sha256(preview), sha256(values), _facts(header)), pair))
            progress(number)
    if len(films) < LEAST:
        raise ConfigurationError(f"only {len(films)} of the films can be decoded: {dict(left_out)}")
    return Made(tuple(films), dict(left_out), tuple(burned_in), unsaid)


def _developed(path: Path, decoder: DecoderProcess) -> tuple[bytes, bytes]:
    if is_picture(path):
        return of_grays(film_of(path, decoder).pixels)
    return decoder.look("preview", path), decoder.look("values", path)


def harmless(told: dict[str, Any]) -> dict[str, Any]:
    """The header of a film without free text, days and institutions."""
    kept = {name: told[name] for name in _MEASURED if name in told} | dict.fromkeys(_BLANK, "") | {"notes": []}
    for name, allowed in _CODED.items():
        kept[name] = told[name] if told[name] in allowed else ""
    kept["windows"] = [{**window, "explanation": ""} for window in told["windows"]]
    kept["voi"] = [{**lut, "explanation": ""} for lut in told["voi"]]
    return kept


def _facts(header: Mapping[str, Any]) -> dict[str, Any]:
    """What the page says before the film is there."""
    names = ("width", "height", "bits", "modality", "view", "laterality", "orientation", "spacing", "lossy", "taken")
    return {name: header[name] for name in names}


def _items(films: Sequence[tuple[PackedFilm, Pair]], seed: str) -> tuple[list[Item], list[Told]]:
    """Two items a film, which of them is whose by chance."""
    draw = _draw(seed, "sources")
    names = iter(_names(_draw(seed, "items"), 2 * len(films)))
    items, rows = [], []
    for film, pair in films:
        sources = list(SOURCES)
        draw.shuffle(sources)
        for source in sources:
            text: Dressed = getattr(pair, source)
            one = item(next(names), film.id, text.text)
            items.append(one)
            cluster = sha256(f"{seed} {pair.case.patient or film.id}".encode())[:12]
            rows.append(Told(one.id, source, pair.case.id, cluster, text.words, text.tells))
    return items, rows


def _key(recipe: Recipe, rows: Sequence[Told], left_out: Mapping[str, int], choice: Choice) -> bytes:
    whole = {
        "format": _FORMAT,
        "seed": recipe.seed,
        "made_at": recipe.made_at,
        "software": recipe.software,
        "who": dict(recipe.who),
        "left_out": dict(left_out),
        "stock": [{"sentence": one.sentence, "shares": dict(one.shares)} for one in choice.stock],
        "dropped": list(choice.dropped),
        "items": [asdict(one) for one in rows],
    }
    return (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode()


def _names(draw: random.Random, number: int) -> Iterator[str]:
    """Different ones, of eight hexadecimal digits."""
    return (f"{name:08x}" for name in draw.sample(range(1 << 32), number))


def _draw(seed: str, what: str) -> random.Random:
    """Each use of chance has its own, so that one does not move another."""
    return random.Random(f"{seed} {what}")  # noqa: S311 -- to be repeated by whoever has the seed; that is no rater
