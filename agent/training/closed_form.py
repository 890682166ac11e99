"""A vision tower that begins with what least squares knows.

A few hundred films are too few for a transformer that starts from noise. So its weights begin as a computation that can
be solved for: the first layer's inner layer measures how strong edges of four directions are in each patch, fine ones
between neighboring pixels and coarse ones between its parts (after the histograms of Dalal and Triggs, CVPR 2005), the
second's weighs these and the grays of each patch by its place, as a ridge regression over all films would, and the
third's attention adds the places up. All stay ordinary weights of an ordinary tower, and all of them learn afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from agent.readers.network import CxrLlavaModel
from dicom_node.errors import ConfigurationError

DIRECTIONS: Final = 4  # of edges
TOLD: Final = -2  # where patches of a solved tower tell their answer
_SIDE: Final = 4  # a patch has 4 x 4 means of its grays
_EDGES: Final = 2 * DIRECTIONS  # of fine and of coarse ones
_SHARP: Final = 8.0  # how steep both units of a slope are: their sum is all but its size
_HIGHER: Final = 1.5  # rows of points in a patch to columns
_PLACES: Final = range(3840, 4097, 16)  # how large a place's code is: so large that norms hardly depend on the film
_OPEN: Final = 6.0  # where a unit of an open place works: there GELU is a straight line
_STRAIGHT: Final = 2.5  # from here on
_SHUT: Final = 40.0  # how far a unit of another place is from working, in the second layer,
_SHUT_LAST: Final = 8.0  # and in the third, where less comes in
_OVER: Final = 16.0  # how far the name of an answer stands above the filter in whose place it is
_RARE: Final = 0.2  # share of the films of which a rare finding is said all the same
_LOUD: Final = 1.5  # behind the last norm: what a place tells,
_NAME: Final = 3.0  # of what,
_FAINT: Final = 0.2  # and all answers
_SUM: Final = 8.0  # deviation of an answer in the stream: far above what one place adds to it
_SOME: Final = 64  # films that are enough for a mean
_RIDGE: Final = 3.0  # of the mean of the spectrum
_BATCH: Final = 64

Array = NDArray[np.float32]


def first_name(model: CxrLlavaModel) -> int:
    """From where on patches of a solved tower have a number for the name of each answer; its own is large."""
    config: Any = model.vision_tower.config
    return 2 * (int(config.image_size) // int(config.patch_size))


def told(patches: Tensor, answers: int) -> Array:
    """What a solved tower tells of films, (films, answers): above 0 it says so. patches: of `CxrLlavaModel.patches`."""
    own = patches[..., TOLD].float()
    columns = [own[:, answer::answers].mean(dim=1) for answer in range(answers)]
    return np.asarray(torch.stack(columns, dim=1).numpy() / _LOUD, dtype=np.float32)


class ClosedForm:
    """Writes a tower of at least three layers. Dimensions of the stream: places, filters, directions, answers."""

    def __init__(self, model: CxrLlavaModel, answers: int, *, mean: float, std: float) -> None:
        """Raises ConfigurationError: the tower has too little room."""
        config: Any = model.vision_tower.config
        self._tower: Any = model.vision_tower
        self._mean, self._std = mean, std
        self._width, self._patch = int(config.hidden_size), int(config.patch_size)
        self._across = int(config.image_size) // self._patch
        self._answers = answers
        hidden, coarse = int(config.intermediate_size), len(_coarse_pairs())
        filters = self._width - 2 * self._across - _EDGES - answers - 2
        points = min((filters - _SIDE**2) // 2, (hidden - 2 * coarse) // (2 * DIRECTIONS))
        if points < 1 or filters < answers or hidden < answers * self._across**2 or int(config.num_hidden_layers) < 3:
            raise ConfigurationError(
                f"a solved tower for {answers} labels needs 3 layers and more than {2 * self._across} + {_EDGES} + "
                f"{_SIDE**2} + {answers} dimensions: raise shape.tower_width, or name fewer labels in data.labels"
            )
        self._points = _points(self._patch, points)
        self._place = _place(self._width)
        start = 2 * self._across
        self._content = slice(start, start + filters)
        self._grays = slice(start, start + _SIDE**2)
        self._slopes = slice(self._grays.stop, self._grays.stop + 2 * len(self._points))
        self._edges = slice(start + filters, start + filters + _EDGES)
        self._answer = slice(start + filters + _EDGES, self._width - 2)
        self._told = self._width - 2
        self._zero = self._width - 1  # nothing is written here: behind a norm it says what the norm took away

    def solve(self, squares: NDArray[np.uint8], targets: NDArray[np.float32]) -> None:
        """squares: (films, size, size). targets: (films, answers), any real numbers; what they are is regressed.

        Raises ConfigurationError: a target is the same for all films.
        """
        if not targets.std(axis=0).all():
            raise ConfigurationError(
                "a solved tower needs films with and without each of its labels: name such labels alone in data.labels"
            )
        with torch.no_grad():
            self._clear()
            self._patches_and_places(squares)
            self._round()
            self._measure_edges(squares)
            self._round()
            self._weigh(squares, targets)
            self._round()
            self._add_up(squares, targets)
            self._tell(squares)
            self._round()

    # -- the layers ----------------------------------------------------------------------------------------------

    def _clear(self) -> None:
        for name, parameter in self._tower.named_parameters():
            is_gain = "norm" in name and name.endswith("weight")
            parameter.fill_(1.0) if is_gain else parameter.zero_()

    def _patches_and_places(self, squares: NDArray[np.uint8]) -> None:
        """Grays of each patch and its slopes at some points, both of deviation 1; places as two marks."""
        pieces = self._pieces(squares)
        means, slopes = _block_means(self._patch, _SIDE), _slopes(self._patch, self._points)
        grays = pieces @ means.T
        gray, slope = float(grays.std()), float((pieces @ slopes.T).std()) + 1e-6
        embeddings = self._tower.embeddings
        kernel = embeddings.patch_embedding.weight
        kernel[self._grays] = _tensor(means / gray).reshape(-1, 1, self._patch, self._patch)
        kernel[self._slopes] = _tensor(slopes / slope).reshape(-1, 1, self._patch, self._patch)
        places = embeddings.position_embedding.weight
        for place in range(self._across**2):
            places[1 + place, place // self._across] = self._place
            places[1 + place, self._across + place % self._across] = -self._place  # so that the mean stays 0
        places[1:, self._grays] = -float(grays.mean()) / gray
        places[0, : self._across] = self._place / self._across**0.5  # the class token: as large, at no place
        places[0, self._across : 2 * self._across] = -self._place / self._across**0.5
        filled = _SIDE**2 + 2 * len(self._points)
        self._spread = float(np.sqrt((filled + 2 * self._place**2) / self._width))
        self._tower.pre_layrnorm.weight.fill_(self._spread)

    def _measure_edges(self, squares: NDArray[np.uint8]) -> None:
        """The first layer's inner layer: the mean size of slopes, each of which two units measure, up and down."""
        layer = self._tower.encoder.layers[0]
        layer.layer_norm2.weight.zero_()
        layer.layer_norm2.weight[self._content] = self._spread
        layer.layer_norm2.weight[self._zero] = self._spread
        fc1, fc2 = layer.mlp.fc1, layer.mlp.fc2
        unit = 0
        for edge, weighed in [*self._fine(), *self._coarse()]:
            for sign in (1, -1):
                for dimension, weight in weighed:
                    fc1.weight[unit, dimension] = sign * _SHARP * weight
                fc1.weight[unit, self._zero] = -sign * _SHARP * sum(weight for _, weight in weighed)
                fc2.weight[self._edges.start + edge, unit] = 1.0
                unit += 1
        found = torch.cat([x[:, 1:, self._edges].flatten(0, 1) for x in self._stream(squares, 1)])
        spread = found.std(dim=0) + 1e-6
        fc2.weight[self._edges] /= spread[:, None]
        fc2.bias[self._edges] = -found.mean(dim=0) / spread

    def _fine(self) -> Iterator[tuple[int, list[tuple[int, float]]]]:
        """(number of the edge, its dimensions with their weights): slopes between pixels, turned to each direction."""
        for point in range(len(self._points)):
            across = self._slopes.start + 2 * point
            for direction in range(DIRECTIONS):
                turn = np.pi * direction / DIRECTIONS
                yield direction, [(across, float(np.cos(turn))), (across + 1, float(np.sin(turn)))]

    def _coarse(self) -> Iterator[tuple[int, list[tuple[int, float]]]]:
        """The same between the parts of a patch."""
        for direction, one, other in _coarse_pairs():
            yield DIRECTIONS + direction, [(self._grays.start + one, 1.0), (self._grays.start + other, -1.0)]

    def _weigh(self, squares: NDArray[np.uint8], targets: Array) -> None:
        """The second layer's inner layer: for each place and answer one unit, which is shut everywhere else."""
        layer = self._tower.encoder.layers[1]
        layer.layer_norm2.weight.fill_(self._spread)
        seen = torch.cat([layer.layer_norm2(x)[:, 1:] for x in self._stream(squares, 1)]).numpy()
        parts = [_Part.of(seen[..., self._grays]), _Part.of(seen[..., self._edges])]
        joined = np.concatenate([part.scaled.reshape(len(squares), -1) for part in parts], axis=1)
        solution = _ridge(joined, targets)  # (numbers, answers)
        solution /= targets.std(axis=0) / 2  # not by what was found: folds and runs shall have one scale
        cut = parts[0].scaled[0].size
        by_place = [part.weights(block) for part, block in zip(parts, (solution[:cut], solution[cut:]), strict=True)]
        peak = self._peak([part.raw for part in parts], by_place)
        fc1, fc2 = layer.mlp.fc1, layer.mlp.fc2
        fc1.weight.zero_()
        fc1.bias.fill_(-_SHUT)
        self._gain = peak
        for place in range(self._across**2):
            marks = (place // self._across, self._across + place % self._across)
            mark = float(seen[:, place, marks[0]].mean())
            for answer in range(self._answers):
                unit = place * self._answers + answer
                grays_w, edges_w = (weights[place, :, answer] / peak for weights, _ in by_place)
                offset = sum(float(shift[place, answer]) for _, shift in by_place) / peak
                fc1.weight[unit, self._grays] = _tensor(grays_w)
                fc1.weight[unit, self._edges] = _tensor(edges_w)
                # one mark alone leaves the unit shut at -_SHUT, both open it at _OPEN
                fc1.weight[unit, marks[0]] = (_OPEN + _SHUT) / mark
                fc1.weight[unit, marks[1]] = -(_OPEN + _SHUT) / mark
                fc1.bias[unit] = -_OPEN - 2 * _SHUT + offset
                fc2.weight[self._answer.start + answer, unit] = 1.0
        fc2.bias[self._answer] = -_OPEN

    def _peak(self, raw: list[Array], by_place: list[tuple[Array, Array]]) -> float:
        """So much that hardly any unit leaves the straight part of its curve."""
        total = sum(
            np.einsum("npf,pfa->npa", part, weights) + shift[None]
            for part, (weights, shift) in zip(raw, by_place, strict=True)
        )
        return float(np.percentile(np.abs(total), 99.99) / (_OPEN - _STRAIGHT))

    def _add_up(self, squares: NDArray[np.uint8], targets: Array) -> None:
        """The third layer's attention: every token gets the sum over all places.

        An answer has deviation `_SUM` and is above 0 for as many films as have the finding, at least for `_RARE`.
        """
        layer = self._tower.encoder.layers[2]
        layer.layer_norm1.weight.fill_(self._spread)
        normed = torch.cat([layer.layer_norm1(x).mean(dim=1) for x in self._stream(squares, 2)])
        sums = (normed[:, self._answer] - normed[:, self._zero, None]).numpy()
        share = np.clip((targets > targets.mean(axis=0)).mean(axis=0), _RARE, 1 - _RARE)
        limits = np.array([np.quantile(column, 1 - part) for column, part in zip(sums.T, share, strict=True)])
        spread = sums.std(axis=0) + 1e-9
        value, out = layer.self_attn.v_proj, layer.self_attn.out_proj
        for answer in range(self._answers):
            scale = _SUM / float(spread[answer])
            value.weight[answer, self._answer.start + answer] = scale
            value.weight[answer, self._zero] = -scale
            value.bias[answer] = -scale * float(limits[answer])
            out.weight[self._answer.start + answer, answer] = 1.0

    def _tell(self, squares: NDArray[np.uint8]) -> None:
        """The third layer's inner layer: each place tells one answer, to be found by its name."""
        layer = self._tower.encoder.layers[2]
        layer.layer_norm2.weight.fill_(self._spread)
        fc1, fc2 = layer.mlp.fc1, layer.mlp.fc2
        fc1.weight.zero_()
        fc1.bias.fill_(-_SHUT)
        for place in range(self._across**2):
            answer = place % self._answers
            marks = (place // self._across, self._across + place % self._across)
            for unit in (2 * place, 2 * place + 1):
                fc1.weight[unit, marks[0]] = (_OPEN + _SHUT_LAST) / self._place
                fc1.weight[unit, marks[1]] = -(_OPEN + _SHUT_LAST) / self._place
                fc1.bias[unit] = -_OPEN - 2 * _SHUT_LAST
            fc1.weight[2 * place, self._answer.start + answer] = 1 / _SUM
            fc1.weight[2 * place, self._zero] = -1 / _SUM
            fc2.weight[self._told, 2 * place] = 1.0
            fc2.weight[self._content.start + answer, 2 * place + 1] = _OVER
        fc2.bias[self._told] = -_OPEN
        post = self._tower.post_layernorm
        post.weight.zero_()
        post.weight[self._answer] = _FAINT / _SUM * self._spread
        post.weight[self._told] = _LOUD * self._spread
        post.weight[self._content.start : self._content.start + self._answers] = _NAME / _OPEN / _OVER * self._spread
        # the norm takes the mean of all dimensions away, which the names have raised
        raised = torch.cat([x[:, 1:].mean(dim=(1, 2)) for x in self._stream(squares[:_SOME], 3)]).mean()
        post.bias[self._told] = _LOUD * raised

    def _round(self) -> None:
        """As the files will hold them, so that what is computed next makes up for it."""
        for parameter in self._tower.parameters():
            parameter.copy_(parameter.bfloat16().float())

    # -- what runs -----------------------------------------------------------------------------------------------

    def _stream(self, squares: NDArray[np.uint8], layers: int) -> Iterator[Tensor]:
        """What layer number `layers` gets."""
        for start in range(0, len(squares), _BATCH):
            pixels = (torch.from_numpy(squares[start : start + _BATCH]).float() / 255 - self._mean) / self._std
            x = self._tower.pre_layrnorm(self._tower.embeddings(pixels[:, None]))
            for layer in self._tower.encoder.layers[:layers]:
                x = x + layer.self_attn(layer.layer_norm1(x))[0]
                x = x + layer.mlp(layer.layer_norm2(x))
            yield x

    def _pieces(self, squares: NDArray[np.uint8]) -> Array:
        """(films x places, patch * patch), normalized as the reader does."""
        n, p = self._across, self._patch
        grays = (squares.astype(np.float32) / 255 - self._mean) / self._std
        pieces = grays.reshape(-1, n, p, n, p).transpose(0, 1, 3, 2, 4).reshape(-1, p * p)
        return np.asarray(pieces, dtype=np.float32)


class _Part:
    """Numbers (films, places, f): standardized at each place, and so scaled that each part weighs the same."""

    def __init__(self, raw: Array, mean: Array, spread: Array) -> None:
        self.raw, self.mean, self.spread = raw, mean, spread
        self.scaled = (raw - mean) / spread

    @classmethod
    def of(cls, raw: Array) -> _Part:
        mean, std = raw.mean(axis=0), raw.std(axis=0) + 1e-6
        return cls(raw, mean, std * np.float32(np.sqrt(mean.size)))

    def weights(self, solution: Array) -> tuple[Array, Array]:
        """For numbers as they are: (places, f, answers), and what is added at each place (places, answers)."""
        weights = solution.reshape(*self.mean.shape, -1) / self.spread[..., None]
        return weights, -np.einsum("pf,pfa->pa", self.mean, weights)


def _ridge(numbers: Array, targets: Array) -> Array:
    kernel = numbers.astype(np.float64) @ numbers.T.astype(np.float64)
    kernel[np.diag_indices_from(kernel)] += _RIDGE * np.trace(kernel) / len(kernel)
    return np.asarray(numbers.T @ np.linalg.solve(kernel, targets - targets.mean(axis=0)), dtype=np.float32)


def _place(width: int) -> float:
    """That code of a place which a norm in eight bits (bfloat16) gives back as it was: units open by it exactly."""

    def error(place: int) -> float:
        spread = place * float(np.sqrt(2 / width))
        return abs(float(torch.tensor(spread).bfloat16()) / spread - 1)

    return float(min(_PLACES, key=error))


def _points(patch: int, count: int) -> list[tuple[int, int]]:
    """At most `count` pixels (row, column), evenly in a patch and not at its rim; every second row is shifted."""
    rows = max(1, min(count, round((_HIGHER * count) ** 0.5)))
    columns, inside = count // rows, patch - 2
    return [
        (1 + int((row + 0.5) * inside / rows), 1 + int((column + 0.25 + row % 2 / 2) * inside / columns))
        for row in range(rows)
        for column in range(columns)
    ]


def _slopes(patch: int, points: list[tuple[int, int]]) -> Array:
    """Across and down at each point: (2 x points, patch * patch)."""
    filters = np.zeros((len(points), 2, patch, patch), np.float32)
    for number, (row, column) in enumerate(points):
        filters[number, 0, row, column - 1 : column + 2] = (-1, 0, 1)
        filters[number, 1, row - 1 : row + 2, column] = (-1, 0, 1)
    return filters.reshape(-1, patch**2)


def _coarse_pairs() -> list[tuple[int, int, int]]:
    """(direction, part, part) of all neighbors among a patch's parts."""
    steps = ((0, 1), (1, 1), (1, 0), (1, -1))
    return [
        (direction, row * _SIDE + column, (row + down) * _SIDE + column + across)
        for direction, (down, across) in enumerate(steps)
        for row in range(_SIDE - down)
        for column in range(_SIDE)
        if 0 <= column + across < _SIDE
    ]


def _block_means(patch: int, side: int) -> Array:
    size = patch // side
    blocks = [(i, j) for i in range(side) for j in range(side)]
    means = np.zeros((len(blocks), patch, patch), np.float32)
    for number, (i, j) in enumerate(blocks):
        means[number, i * size : (i + 1) * size, j * size : (j + 1) * size] = 1 / size**2
    return means.reshape(len(blocks), -1)


def _tensor(values: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
