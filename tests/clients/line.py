"""A manufacturing line in Python, on grpcio: written from proto/README.md, sections 10.3 and 10.5, and the contract alone.

Sends a manifest, is cut while it sends and while it listens, and loses nothing; then registers devices one call at a time, as a
manufacturing execution system does. Prints one JSON object. The contract is compiled on the way:

    line.py --proto proto --server localhost:8443 --operator plant/operator --manifest devices.csv --model GW-200
"""

import argparse
import hashlib
import importlib
import json
import pathlib
import sys
import tempfile

import grpc
from grpc_status import rpc_status
from grpc_tools import protoc

CHUNK = 4096


def contract(proto):
    """Compiles the contract; returns the modules of imports: messages and services."""
    out = tempfile.mkdtemp()
    files = sorted(str(path.relative_to(proto)) for path in pathlib.Path(proto).rglob("*.proto"))
    well_known = pathlib.Path(protoc.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{proto}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}", *files]
    if protoc.main(arguments) != 0:
        sys.exit("the contract does not compile")
    sys.path.insert(0, out)
    return [importlib.import_module(f"muster.v1.manifests_pb2{part}") for part in ("", "_grpc")]


def connect(server, operator):
    """A channel with an operator's certificate."""
    read = lambda name: (pathlib.Path(operator) / name).read_bytes()
    credentials = grpc.ssl_channel_credentials(read("root.pem"), read("operator.key"), read("operator.pem"))
    # The name that the certificate has, whatever the address is.
    return grpc.secure_channel(server, credentials, [("grpc.ssl_target_name_override", "localhost")])


class Line:
    def __init__(self, channel, messages, services):
        self.api = services.ManifestsStub(channel)
        self.v1 = messages

    def create(self, request_id, **spec):
        request = self.v1.CreateBatchRequest(request_id=request_id, spec=self.v1.BatchSpec(**spec))
        return self.api.CreateBatch(request)

    def upload(self, batch, content, until=None):
        """Sends from what is durable on. With `until`, goes away in the middle of the call."""
        offset = self.api.GetBatch(self.v1.GetBatchRequest(name=batch)).received_bytes

        def requests():
            start = self.v1.UploadStart(batch=batch, offset=offset)
            yield self.v1.UploadManifestRequest(start=start)
            for place in range(offset, until or len(content), CHUNK):
                yield self.v1.UploadManifestRequest(chunk=content[place : min(place + CHUNK, until or len(content))])
            if until is None:
                digest = hashlib.sha256(content).digest()
                end = self.v1.UploadEnd(file_bytes=len(content), file_sha256=digest)
                yield self.v1.UploadManifestRequest(end=end)

        answers = [answer.received_bytes for answer in self.api.UploadManifest(requests())]
        return answers[-1] if answers else offset

    def watch(self, batch, token, stop_after_results=None):
        """Rows from a token on; the token behind them; the summary, unless the stream is left before."""
        rows, summary = [], None
        stream = self.api.WatchBatch(self.v1.WatchBatchRequest(name=batch, resume_token=token))
        for told in stream:
            token = told.resume_token
            kind = told.WhichOneof("message")
            if kind == "results":
                rows.extend(told.results.rows)
                if stop_after_results:
                    stream.cancel()
                    break
            elif kind == "summary":
                summary = told.summary
        return rows, token, summary

    def acknowledge(self, batch, token):
        self.api.AcknowledgeResults(self.v1.AcknowledgeResultsRequest(name=batch, resume_token=token))

    def register(self, request_id, rows, **spec):
        rows = [self.v1.ManifestRow(**row) for row in rows]
        request = self.v1.ImportRowsRequest(request_id=request_id, spec=self.v1.BatchSpec(**spec), rows=rows)
        return self.api.ImportRows(request)


def refusal(call):
    """What a refused call says: status, name and number, fields."""
    from google.rpc import error_details_pb2

    try:
        call()
    except grpc.RpcError as error:
        said = {"status": error.code().name, "fields": []}
        for detail in rpc_status.from_call(error).details:
            info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            if detail.Unpack(info):
                said |= {"reason": info.reason, "code": info.metadata["code"]}
            elif detail.Unpack(request):
                said["fields"] += [violation.field for violation in request.field_violations]
        return said
    return None


def main():
    parser = argparse.ArgumentParser()
    for option in ("proto", "server", "operator", "manifest", "model"):
        parser.add_argument(f"--{option}", required=True)
    options = parser.parse_args()
    messages, services = contract(options.proto)
    line = Line(connect(options.server, options.operator), messages, services)
    content = pathlib.Path(options.manifest).read_bytes()

    # 1. A file, in two calls of which the first is cut.
    spec = {"file_name": "line.csv", "default_model": f"models/{options.model}"}
    batch = line.create("shift-7", **spec).name
    again = line.create("shift-7", **spec).name
    half = line.upload(batch, content, until=len(content) // 2)
    line.upload(batch, content)

    # 2. Its results, in two streams of which the first is left.
    first, token, _ = line.watch(batch, "", stop_after_results=True)
    rest, token, summary = line.watch(batch, token)
    if summary is None:
        rest, token, summary = line.watch(batch, token)
    rows = first + rest
    codes = {row.activation_code for row in rows if row.activation_code}

    # 3. They are kept, so the codes are shown no more.
    line.acknowledge(batch, token)
    late = refusal(lambda: line.watch(batch, ""))
    shown_late = [] if late else [row for row in line.watch(batch, "")[0] if row.activation_code]

    # 4. One device as it comes off the line, and one that is refused.
    place = {"model": options.model, "site": "MUC-01", "position": "Hall 1", "variables": {"extension": "60"}}
    good = {"serial": "GW2-9900001", "mac": "00:1B:C5:99:00:01", **place}
    bad = {"serial": "GW2-9900002", "mac": "00:1B:C5:00:00:0G", **place}
    typed = line.register("device-1", [good, bad])
    repeated = line.register("device-1", [good, bad])

    # 5. What a refusal says.
    reused = refusal(lambda: line.create("shift-7", file_name="another.csv"))
    print(
        json.dumps(
            {
                "same_batch": batch == again,
                "half": half,
                "rows": [row.row for row in rows],
                "created": summary.created,
                "state": messages.Batch.State.Name(summary.state),
                "codes": len(codes),
                "late": late,
                "shown_late": len(shown_late),
                "typed": [messages.RowStatus.Name(row.status) for row in typed.rows],
                "typed_refusals": [[r.code, r.field, r.value] for row in typed.rows for r in row.refusals],
                "same_code": typed.rows[0].activation_code == repeated.rows[0].activation_code != "",
                "reused": reused,
            }
        )
    )


if __name__ == "__main__":
    main()
