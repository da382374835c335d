"""Uses sbs-serve as a client in Python does, and prints the answers as JSON.

Arguments: the address for gRPC, the folder with the generated module open_inference_grpc_pb2, the
name of the model, and a JSON list of images, each a list of pixels.
"""
import json
import struct
import sys

import grpc

address, folder, model, images = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
sys.path.insert(0, folder)
import open_inference_grpc_pb2 as pb  # noqa: E402

channel = grpc.insecure_channel(address)


def method(name):
    return channel.unary_unary(
        "/inference.GRPCInferenceService/" + name,
        request_serializer=getattr(pb, name + "Request").SerializeToString,
        response_deserializer=getattr(pb, name + "Response").FromString,
    )


def request(id, values, raw):
    r = pb.ModelInferRequest(model_name=model, id=id)
    r.parameters["seed"].int64_param = 3
    t = r.inputs.add(name="image", datatype="FP32", shape=[len(values), 1, 12, 12])
    flat = [v for image in values for v in image]
    if raw:
        r.raw_input_contents.append(struct.pack("<%df" % len(flat), *flat))
    else:
        t.contents.fp32_contents.extend(flat)
    return r


out = {
    "live": method("ServerLive")(pb.ServerLiveRequest()).live,
    "ready": method("ServerReady")(pb.ServerReadyRequest()).ready,
    "model": method("ModelReady")(pb.ModelReadyRequest(name=model)).ready,
    "server": method("ServerMetadata")(pb.ServerMetadataRequest()).name,
    "input": method("ModelMetadata")(pb.ModelMetadataRequest(name=model)).inputs[0].name,
    "answers": [],
}
infer = method("ModelInfer")
# All calls at the same time, with one more image each.
calls = [(raw, infer.future(request(str(n), images[:n], raw))) for n in range(1, len(images) + 1) for raw in (False, True)]
for raw, call in calls:
    r = call.result()
    if raw:
        data = r.raw_output_contents[0]
        values = struct.unpack("<%df" % (len(data) // 4), data)
    else:
        values = r.outputs[0].contents.fp32_contents
    out["answers"].append({"id": r.id, "values": list(values)})
try:
    infer(pb.ModelInferRequest(model_name="other"))
except grpc.RpcError as e:
    out["code"], out["error"] = e.code().name, e.details()
print(json.dumps(out))
