"""The proof: what is compared is paired, the simple models are in the same folds, and controls control."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agent.evaluation.readings import FilmReading
from agent.manifest import Case
from agent.training import demonstration, proof, sentences
from reports.findings import State

FINDINGS = sentences.FINDINGS


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """Sixty films of 30 patients: bright below where there is an effusion; everything else is chance."""
    folder, random, made = tmp_path_factory.mktemp("films"), np.random.default_rng(2), []
    for number in range(60):
        states = {name: bool(random.random() < 0.5) for name in FINDINGS}
        film = random.normal(100, 20, (64, 64))
        film[40:] += 6 * states["Pleural Effusion"]
        Image.fromarray(np.clip(film, 0, 255).astype(np.uint8)).save(folder / f"{number}.png")
        labels = {n: State.PRESENT if said else State.ABSENT for n, said in states.items() if n != sentences.AP}
        made.append(
            Case(id=str(number), line=2, image=folder / f"{number}.png", labels=labels, patient=f"P{number // 2}",
                 view="AP" if states[sentences.AP] else "PA", years=50)
        )  # fmt: skip
    return made


def readings(cases: list[Case], *, knows: bool, text_too: bool = True) -> dict[str, FilmReading]:
    """Of a reader that knows everything, or the contrary of everything."""
    found = {}
    for case in cases:
        states = {name: said == knows for name, said in demonstration.states_of(case).items()}
        spoken = states if text_too else dict.fromkeys(states, False)
        text = "FINDINGS: " + " ".join(sentences.sentence(name, present=spoken[name]) for name in FINDINGS)
        found[case.id] = FilmReading(
            case.id, text, scores={name: 1.0 if said else -1.0 for name, said in states.items()}
        )
    return found


def test_who_knows_everything_passes_and_a_shuffled_text_tells_nothing(cases: list[Case]) -> None:
    fold = demonstration.folds(cases, 5, 1)
    found = proof.prove(cases, readings(cases, knows=True), fold, seed=3)
    assert all(found.holds().values())
    assert found.kappa == 1.0
    assert all(row.model.value == 1.0 for row in found.rows)
    effusion = next(row for row in found.rows if row.finding == "Pleural Effusion")
    assert effusion.linear.value > 0.8  # the same films, the same folds
    assert effusion.difference.value == pytest.approx(1 - effusion.linear.value)
    assert "| Pleural Effusion |" in proof.markdown(found)
    assert "NO" not in proof.markdown(found)


def test_who_is_wrong_or_silent_fails(cases: list[Case]) -> None:
    fold = demonstration.folds(cases, 5, 1)
    wrong = proof.prove(cases, readings(cases, knows=False), fold, seed=3).holds()
    assert not wrong["mean better than linear"]
    assert not wrong["Edema not worse than linear"]
    silent = proof.prove(cases, readings(cases, knows=True, text_too=False), fold, seed=3)
    assert not silent.holds()["text agrees with scores"]


def test_the_texts_in_nf4_are_compared_with_those_in_fp32(cases: list[Case]) -> None:
    fold, knows = demonstration.folds(cases, 5, 1), readings(cases, knows=True)
    alike = proof.prove(cases, knows, fold, seed=3, in_nf4=knows)
    contrary = proof.prove(cases, knows, fold, seed=3, in_nf4=readings(cases, knows=False))
    assert alike.nf4 is not None
    assert contrary.nf4 is not None
    assert (alike.nf4.same, alike.nf4.kappa, alike.nf4.areas["Edema"].value) == (1.0, 1.0, 1.0)
    assert contrary.nf4.same == 0.0
    assert contrary.nf4.kappa < 0
    assert contrary.nf4.areas["Edema"].value == 0.0
    assert "- in nf4: the texts say the same of a finding as in fp32 in 100.0%, kappa 1.000" in proof.markdown(alike)
    assert "in nf4" not in proof.markdown(proof.prove(cases, knows, fold, seed=3))


def test_the_weights_for_sharpness_take_away_what_sharpness_alone_knows() -> None:
    random = np.random.default_rng(4)
    sharp = random.normal(size=2000)
    positive = sharp + random.normal(size=2000) > 0
    judge = proof._Judge([str(number) for number in range(2000)], 1)
    assert judge.area_of(sharp, positive).value > 0.8
    assert judge.equal_sharpness(sharp, positive, sharp).value == pytest.approx(0.5, abs=0.05)


def test_a_patient_is_in_one_fold(cases: list[Case]) -> None:
    fold = demonstration.folds(cases, 5, 1)
    of_patient = {case.patient: number for case, number in zip(cases, fold, strict=True)}
    assert [of_patient[case.patient] for case in cases] == fold.tolist()
    assert sorted(set(fold.tolist())) == [0, 1, 2, 3, 4]


def test_only_adults_of_a_known_view_are_chosen(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "1.png")
    rows = ["file,id,view,age,patient,labels", "1.png,a,PA,40,A,Edema", "1.png,b,PA,12,B,Edema", "1.png,c,,40,C,Edema"]
    (tmp_path / "films.csv").write_text("\n".join(rows), encoding="utf-8")
    assert [case.id for case in demonstration.chosen(tmp_path / "films.csv", tmp_path)] == ["a"]
