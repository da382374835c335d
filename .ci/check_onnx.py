"""Checks ONNX files with the checker of the onnx package, and that strict shape
inference agrees with the types that the files state."""

import sys

import onnx


def shapes(graph):
    return {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim]
        for v in [*graph.value_info, *graph.output]
    }


def agree(stated, inferred):
    """Inference invents a symbol for an unknown dimension."""
    return inferred is not None and len(stated) == len(inferred) and all(
        i == s or str(i).startswith("unk__") for s, i in zip(stated, inferred)
    )


for path in sys.argv[1:]:
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    stated = shapes(model.graph)
    produced = {name for node in model.graph.node for name in node.output}
    if produced != set(stated):
        sys.exit(f"{path}: values without a type: {sorted(produced - set(stated))}")
    # Without the stated types, shape inference has to find them by itself. It
    # supports neither the SbS operator nor the bodies of loops, so the outputs of
    # these nodes keep their stated types.
    keep = {name for node in model.graph.node if node.domain or node.op_type in ("Loop", "Scan") for name in node.output}
    infos = [v for v in model.graph.value_info if v.name in keep]
    del model.graph.value_info[:]
    model.graph.value_info.extend(infos)
    inferred = shapes(onnx.shape_inference.infer_shapes(model, strict_mode=True).graph)
    for name, shape in stated.items():
        if not agree(shape, inferred.get(name)):
            sys.exit(f"{path}: {name} is stated as {shape}, inferred as {inferred.get(name)}")
    print(f"{path}: checked, {len(stated)} values")
print(f"{len(sys.argv) - 1} passed, 0 failed")
