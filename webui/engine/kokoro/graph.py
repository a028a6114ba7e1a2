"""Cuts the model in two at pitch: text -> durations, F0, energy, features; and those -> sound.

Between the two, F0 and durations can be edited inside the network, at no cost in quality. Nodes and weights are
copied byte for byte, so that unedited values give bit for bit the sound of the whole model. Field numbers are those
of onnx.proto (ModelProto, GraphProto, NodeProto, ValueInfoProto). Invariants: the cut is made only when every tensor
of `CUT` exists and each half needs nothing but its own inputs; otherwise `GraphChangedError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from webui.engine.kokoro.protobuf import WireError, read_fields, write_bytes, write_key, write_varint

_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_NAME, _GRAPH_INITIALIZER = 1, 2, 5
_GRAPH_INPUT, _GRAPH_OUTPUT = 11, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_ATTRIBUTE = 1, 2, 5
_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS = 6, 11
_TENSOR_NAME = 8
_FLOAT, _INT64 = 1, 7

#: Bumped when the halves written from the same model would differ, so that cached ones are made again.
SPLIT_VERSION = 1


class GraphChangedError(ValueError):
    """The model is not built as this module knows it."""


@dataclass(frozen=True)
class TensorType:
    """A graph input's or output's type: element type and dimensions, a name for each that varies."""

    element: int
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Cut:
    """Where the model is cut.

    Attributes:
        text_inputs: inputs of the first half.
        crossing: what the first half gives and the second takes.
        durations: also given by the first half: frames of 25 ms per token.
        decoder_inputs: inputs of the second half besides ``crossing``.
        outputs: of the second half.
    """

    text_inputs: Mapping[str, TensorType]
    crossing: Mapping[str, TensorType]
    durations: str
    decoder_inputs: Mapping[str, TensorType]
    outputs: Mapping[str, TensorType]


F0 = "/encoder/Reshape_output_0"
ENERGY = "/encoder/Reshape_1_output_0"
FEATURES = "/encoder/MatMul_1_output_0"
DURATIONS = "/encoder/Cast_output_0"
STYLE = TensorType(_FLOAT, (1, 256))
CUT = Cut(
    text_inputs={
        "tokens": TensorType(_INT64, (1, "sequence_length")),
        "style": STYLE,
        # Declared as one number in the whole model; it is divided per token, so that one number a token fits too.
        "speed": TensorType(_FLOAT, ("rates",)),
    },
    crossing={
        F0: TensorType(_FLOAT, (1, "half_frames")),
        ENERGY: TensorType(_FLOAT, (1, "half_frames")),
        FEATURES: TensorType(_FLOAT, (1, 512, "frames")),
    },
    durations=DURATIONS,
    decoder_inputs={"style": STYLE},
    outputs={"audio": TensorType(_FLOAT, ("audio_length",))},
)


@dataclass
class _Graph:
    """Views into one model file."""

    head: list[bytes] = field(default_factory=list)
    nodes: list[tuple[memoryview, list[str], list[str]]] = field(default_factory=list)
    initializers: dict[str, memoryview] = field(default_factory=dict)
    inputs: set[str] = field(default_factory=set)
    outputs: set[str] = field(default_factory=set)


def split(model: memoryview, cut: Cut = CUT) -> tuple[list[bytes | memoryview], list[bytes | memoryview]]:
    """The two halves of a model file, each as pieces to be written one after another.

    Args:
        model: a whole ONNX file; the pieces point into it.
        cut: tensor names and types at the cut.

    Raises:
        GraphChangedError: when the file is not the model that ``cut`` describes.
    """
    try:
        graph = _parse(model)
    except (WireError, UnicodeDecodeError) as error:
        raise GraphChangedError(f"the model cannot be read: {error}") from error
    if missing := [name for name in cut.text_inputs if name not in graph.inputs]:
        raise GraphChangedError(f"the model has no input {missing[0]!r}")
    if missing := [name for name in cut.outputs if name not in graph.outputs]:
        raise GraphChangedError(f"the model has no output {missing[0]!r}")
    durations = {cut.durations: TensorType(_INT64, (1, "sequence_length"))}
    text = _half(graph, "text", cut.text_inputs, {**durations, **cut.crossing})
    decoder = _half(graph, "decoder", {**cut.crossing, **cut.decoder_inputs}, cut.outputs)
    return text, decoder


def _parse(model: memoryview) -> _Graph:
    graph = _Graph()
    for entry in read_fields(model):
        if entry.number != _MODEL_GRAPH:
            graph.head.append(bytes(entry.raw))
            continue
        for part in read_fields(entry.message):
            if part.number == _GRAPH_NODE:
                graph.nodes.append((part.raw, *_edges(part.message)))
            elif part.number == _GRAPH_INITIALIZER:
                graph.initializers[_name(part.message, _TENSOR_NAME)] = part.raw
            elif part.number == _GRAPH_INPUT:
                graph.inputs.add(_name(part.message, 1))
            elif part.number == _GRAPH_OUTPUT:
                graph.outputs.add(_name(part.message, 1))
    return graph


def _name(message: memoryview, number: int) -> str:
    return next((entry.text for entry in read_fields(message) if entry.number == number), "")


def _edges(node: memoryview) -> tuple[list[str], list[str]]:
    inputs, outputs = [], []
    for entry in read_fields(node):
        if entry.number == _NODE_INPUT:
            inputs.append(entry.text)
        elif entry.number == _NODE_OUTPUT:
            outputs.append(entry.text)
        elif entry.number == _NODE_ATTRIBUTE:
            numbers = {part.number for part in read_fields(entry.message)}
            if numbers & {_ATTRIBUTE_GRAPH, _ATTRIBUTE_GRAPHS}:
                raise GraphChangedError("the model has a node with a graph inside, whose inputs are not seen here")
    return inputs, outputs


def _half(
    graph: _Graph, name: str, inputs: Mapping[str, TensorType], outputs: Mapping[str, TensorType]
) -> list[bytes | memoryview]:
    """A model of the nodes between ``inputs`` and ``outputs``; onnxruntime infers every other type again."""
    producers = {tensor: index for index, (_, _, made) in enumerate(graph.nodes) for tensor in made}
    nodes: set[int] = set()
    weights: set[str] = set()
    wanted = list(outputs)
    seen = set(inputs)
    while wanted:
        tensor = wanted.pop()
        if not tensor or tensor in seen:  # an empty name is an optional input that is not given
            continue
        seen.add(tensor)
        if tensor in graph.initializers:
            weights.add(tensor)
        elif tensor in producers:
            nodes.add(producers[tensor])
            wanted += graph.nodes[producers[tensor]][1]
        else:
            raise GraphChangedError(f"half {name!r} needs {tensor!r}, which nothing in the model gives")
    if unused := [tensor for tensor in inputs if not _is_used(graph, nodes, tensor)]:
        raise GraphChangedError(f"half {name!r} does not use {unused[0]!r}")
    body: list[bytes | memoryview] = [graph.nodes[index][0] for index in sorted(nodes)]
    body.append(write_bytes(_GRAPH_NAME, name.encode()))
    body += [raw for tensor, raw in graph.initializers.items() if tensor in weights]
    body += _value_infos(_GRAPH_INPUT, inputs)
    body += _value_infos(_GRAPH_OUTPUT, outputs)
    return [*graph.head, write_key(_MODEL_GRAPH, sum(map(len, body))), *body]


def _is_used(graph: _Graph, nodes: set[int], tensor: str) -> bool:
    return any(tensor in graph.nodes[index][1] for index in nodes)


def _value_infos(number: int, tensors: Mapping[str, TensorType]) -> Iterator[bytes]:
    for name, kind in tensors.items():
        dimensions = b"".join(
            write_bytes(1, write_varint(1, size) if isinstance(size, int) else write_bytes(2, size.encode()))
            for size in kind.shape
        )
        tensor_type = write_varint(1, kind.element) + write_bytes(2, dimensions)
        yield write_bytes(number, write_bytes(1, name.encode()) + write_bytes(2, write_bytes(1, tensor_type)))


def total_bytes(pieces: Sequence[bytes | memoryview]) -> int:
    """How long the file of these pieces will be."""
    return sum(map(len, pieces))
