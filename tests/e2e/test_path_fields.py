"""Every text field of every request, as reflection lists them, with every way out of a folder that was ever seen to work
somewhere: a field that is new is tried without a word here. Nothing outside of the roots is opened, nothing is written there."""

import ctypes
import os
import queue
import shutil
import struct
import unittest

import grpc
from google.protobuf import descriptor_pb2, json_format
from google.protobuf.descriptor import FieldDescriptor

from cluster import REPOSITORY, EndToEndTest, digits_spec
from reflected import Client, class_of

IN_ACCESS, IN_OPEN = 1, 0x20
SECRET = "the-content-of-a-file-outside"


class Watched:
    """Files, and whether anybody opens them from now on (inotify)."""

    def __init__(self, *paths):
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._names = {self._libc.inotify_add_watch(self._fd, os.fsencode(path), IN_ACCESS | IN_OPEN): str(path) for path in paths}
        if self._fd < 0 or -1 in self._names:
            raise OSError(ctypes.get_errno(), "inotify")

    def opened(self):
        """The names of those that were, since the last time."""
        try:
            heard = os.read(self._fd, 1 << 20)
        except BlockingIOError:
            return set()
        found, at = set(), 0
        while at < len(heard):
            watch, _, _, size = struct.unpack_from("iIII", heard, at)
            found.add(self._names.get(watch, "?"))
            at += 16 + size
        return found

    def close(self):
        os.close(self._fd)


def text_fields(message, seen=()):
    """The ways (lists of field names) to the texts of a message, those in its parts too; each kind of message once on a way."""
    for field in message.fields:
        if field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
            yield [field]
        elif field.type == FieldDescriptor.TYPE_MESSAGE and field.message_type.full_name not in seen:
            for further in text_fields(field.message_type, (*seen, field.message_type.full_name)):
                yield [field, *further]


def put(message, way, value):
    """Sets the field at the end of the way: of lists the first element, of maps a key or a value."""
    field, *further = way
    if not further:
        content = value.encode() if field.type == FieldDescriptor.TYPE_BYTES else value
        if field.label == FieldDescriptor.LABEL_REPEATED:
            del getattr(message, field.name)[:]
            getattr(message, field.name).append(content)
        else:
            setattr(message, field.name, content)
    elif field.message_type.GetOptions().map_entry:
        of_map, entry = getattr(message, field.name), field.message_type.fields_by_name["value"]
        if further[0].name == "value" and entry.type != FieldDescriptor.TYPE_MESSAGE:
            of_map["x"] = value
        elif further[0].name == "value":
            put(of_map["x"], further[1:], value)
        elif entry.type == FieldDescriptor.TYPE_MESSAGE:
            of_map.get_or_create(value)
        else:
            of_map[value] = "x" if entry.type == FieldDescriptor.TYPE_STRING else 1
    elif field.label == FieldDescriptor.LABEL_REPEATED:
        parts = getattr(message, field.name)
        put(parts[0] if len(parts) else parts.add(), further, value)
    else:
        getattr(message, field.name).SetInParent()
        put(getattr(message, field.name), further, value)


class EveryTextField(EndToEndTest):
    def setUp(self):
        super().setUp()
        self.data = self.folder / "data"
        self.data.mkdir()
        shutil.copy(REPOSITORY / "examples" / "digits.csv", self.data / "digits.csv")
        self.secret, self.secrets = self.folder / "secret.csv", self.folder / "secrets"
        self.secret.write_text(f"a,b\n{SECRET},2\n" * 50)
        self.secrets.mkdir()
        for name in ("vocab.json", "merges.txt", "model.safetensors", "config.json", "manifest.json", "digits.csv"):
            (self.secrets / name).write_text(f'{{"{SECRET}": 1}}')
        (self.data / "leaves.csv").symlink_to("../secret.csv")
        (self.data / "away").symlink_to("..")
        (self.data / "leaves").symlink_to("../secrets")
        (self.data / "root").symlink_to("/proc/self/root")

    def ways_out(self):
        data = self.data
        return ["../secret.csv", f"../../{self.secret.name}", "..", "%2e%2e/secret.csv", f"{data}/../secret.csv", f"{data}/%2e%2e/secret.csv",
                f"{data}/%2e%2e%2fsecret.csv", str(self.secret), str(self.secrets), f"{data}/leaves.csv", f"{data}/leaves", f"{data}/away/secret.csv",
                f"{data}/away/*.csv", f"{data}/root{self.secret}", f"{data}/..\\secret.csv", "..\\..\\secret.csv", f"{data}/digits.csv\0/../../secret.csv",
                f"{self.secret}\0.csv", "\0"]

    def base(self, api, name):
        """A request that is right but for one field, so that the field is looked at."""
        request = api.message(f"lockstep.v1.{name}")
        spec = {"dataset": {"path": str(self.data / "digits.csv"), "label": "digit"}, "model": {"mlp": {"hidden": [8]}},
                "train": {"epochs": 1, "optimizer": {"sgd": {"learningRate": 0.1}}}}
        content = {"SubmitJobRequest": {"spec": spec}, "RegisterDatasetRequest": {"spec": spec["dataset"]},
                   "ReadShardRequest": {"dataset": "digits", "shards": 1}, "CordonWorkerRequest": {"worker": "node"},
                   "CreateTokenRequest": {"name": "x", "role": "TOKEN_ROLE_VIEWER"}}.get(name, {})
        if "job" in request.DESCRIPTOR.fields_by_name and request.DESCRIPTOR.fields_by_name["job"].type == FieldDescriptor.TYPE_STRING:
            content = {"job": self.job}
        return json_format.ParseDict(content, request, ignore_unknown_fields=True)

    def tried(self, api, method, message):
        """The code, and all that was said."""
        descriptor = api.method(*method.split("/"))
        proto = descriptor_pb2.MethodDescriptorProto()
        descriptor.CopyToProto(proto)
        answer = class_of(api.pool, descriptor.output_type.full_name).FromString
        invoke = api.channel.stream_stream(f"/{method}", request_serializer=lambda one: one.SerializeToString(), response_deserializer=answer)
        said = ""
        try:
            if proto.client_streaming:
                sent = queue.SimpleQueue()
                for one in message:
                    sent.put(one)
                call = invoke(iter(sent.get, None), timeout=60)
                for _ in message[:-1]:
                    said += str(next(call, ""))
                sent.put(None)
            else:
                call = invoke(iter([message]), timeout=60)
            if method.endswith("/WatchJob"):
                said += str(next(call))
                call.cancel()
            else:
                said += "".join(str(one) for one in call)
            return grpc.StatusCode.OK, said
        except grpc.RpcError as error:
            return error.code(), said + error.details()

    def messages(self, api, method):
        """(field, message with `value` in it) of a method; for the agents' stream, what comes after a registration as well."""
        kind = api.method(*method.split("/")).input_type
        for way in text_fields(kind):
            name = ".".join(field.name for field in way)

            def made(value, way=way):
                message = self.base(api, kind.name)
                put(message, way, value)
                if not kind.name == "ConnectRequest":
                    return message
                registered = api.message(kind.full_name)
                registered.register.name, registered.register.incarnation = "stranger", "1"
                registered.register.devices.add(id="cpu:0", uuid="CPU-stranger").profile.device_kind = "cpu"
                if way[0].name != "register":
                    return [registered, message]
                registered.MergeFrom(message)
                return [registered]

            yield name, made

    def everything(self):
        return {path for path in self.folder.rglob("*") if not path.is_relative_to(self.data)}

    def test_none_of_them_reads_or_writes_outside_of_the_roots(self):
        cluster = self.cluster(workers=0, coordinator_flags=["--data-root", self.data])
        api = Client(cluster.address)
        self.addCleanup(api.close)
        methods = [method for method in api.methods() if method.startswith("lockstep.")]
        self.job = cluster.submit(digits_spec(dataset={"path": str(self.data / "digits.csv"), "label": "digit"}))
        before = self.everything()
        own = set(cluster.folder.rglob("*"))
        watched = Watched(self.secret, *self.secrets.iterdir())
        self.addCleanup(watched.close)
        self.secret.read_text()
        self.assertEqual(watched.opened(), {str(self.secret)}, "this test would not see what it looks for")
        tried = set()
        for method in methods:
            for field, made in self.messages(api, method):
                tried.add(f"{method.split('/')[1]}.{field}")
                for way in self.ways_out():
                    code, said = self.tried(api, method, made(way))
                    about = f"{method} {field} = {way!r}: {code} {said[:300]}"
                    self.assertNotIn(SECRET, said, about)
                    self.assertNotIn(code, (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNAVAILABLE,
                                            grpc.StatusCode.DEADLINE_EXCEEDED), about)
                    self.assertEqual(watched.opened(), set(), about)
        self.assertTrue(cluster.coordinator.alive())
        self.assertNotIn(SECRET, cluster.coordinator.text())
        self.assertEqual(self.everything(), before)
        # What is new in the coordinator's own folders has names that it made.
        for path in set(cluster.folder.rglob("*")) - own:
            self.assertRegex(path.name, r"^[a-z0-9][-a-z0-9._]*$", path)
        # The fields that are known to name files, so that a mistake in the search for them is seen.
        self.assertLessEqual({"SubmitJob.spec.dataset.path", "SubmitJob.spec.dataset.labels", "SubmitJob.spec.dataset.text.tokenizer.bpe.path",
                              "SubmitJob.spec.from.path", "SubmitJob.spec.from.safetensors", "SubmitJob.spec.from.names.value",
                              "RegisterDataset.spec.path", "DownloadModel.job", "Connect.checkpoint.checkpoint.path",
                              "Connect.register.artifact_root_id"}, tried)


if __name__ == "__main__":
    unittest.main()
