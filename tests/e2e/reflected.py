"""A gRPC client that knows nothing about Lockstep: it asks the server for its proto by reflection and builds the messages
from that. Only grpcio and protobuf are used; the reflection protocol itself is small enough to be stated here."""

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory


# A connection of each client's own. Python answers no ping while nothing is asked, so one that was idle for seconds is closed.
OWN = [("grpc.use_local_subchannel_pool", 1)]


def class_of(pool, name):
    descriptor = pool.FindMessageTypeByName(name)
    if hasattr(message_factory, "GetMessageClass"):
        return message_factory.GetMessageClass(descriptor)
    return message_factory.MessageFactory(pool).GetPrototype(descriptor)


def _reflection_pool():
    """grpc/reflection/v1alpha/reflection.proto, as far as it is used here."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="reflection_subset.proto", package="grpc.reflection.v1alpha", syntax="proto3")

    def message(name, *fields):
        added = file.message_type.add(name=name)
        for number, field_name, kind, label, type_name in fields:
            added.field.add(name=field_name, number=number, type=kind, label=label,
                            type_name=f".grpc.reflection.v1alpha.{type_name}" if type_name else None)

    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    message("ServerReflectionRequest", (3, "file_by_filename", field.TYPE_STRING, one, None),
            (4, "file_containing_symbol", field.TYPE_STRING, one, None), (7, "list_services", field.TYPE_STRING, one, None))
    message("FileDescriptorResponse", (1, "file_descriptor_proto", field.TYPE_BYTES, many, None))
    message("ServiceResponse", (1, "name", field.TYPE_STRING, one, None))
    message("ListServiceResponse", (1, "service", field.TYPE_MESSAGE, many, "ServiceResponse"))
    message("ErrorResponse", (1, "error_code", field.TYPE_INT32, one, None), (2, "error_message", field.TYPE_STRING, one, None))
    message("ServerReflectionResponse", (4, "file_descriptor_response", field.TYPE_MESSAGE, one, "FileDescriptorResponse"),
            (6, "list_services_response", field.TYPE_MESSAGE, one, "ListServiceResponse"),
            (7, "error_response", field.TYPE_MESSAGE, one, "ErrorResponse"))
    # The request's one set field must be on the wire even when it is empty: list_services is "".
    for entry in file.message_type[0].field:
        entry.oneof_index = 0
    file.message_type[0].oneof_decl.add(name="message_request")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return pool


class Client:
    """client.call("lockstep.v1.Jobs", "GetJob", job="x") -> response; a stream gives an iterator."""

    def __init__(self, address, credentials=None, token=None):
        self.channel = grpc.secure_channel(address, credentials, OWN) if credentials else grpc.insecure_channel(address, OWN)
        self.use(token)
        reflection = _reflection_pool()
        self._request = class_of(reflection, "grpc.reflection.v1alpha.ServerReflectionRequest")
        response = class_of(reflection, "grpc.reflection.v1alpha.ServerReflectionResponse")
        self._ask = self.channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            request_serializer=self._request.SerializeToString, response_deserializer=response.FromString)
        self.pool = descriptor_pool.DescriptorPool()
        self._files = set()

    def use(self, token):
        """Calls from now on carry this token."""
        self.metadata = [("authorization", f"Bearer {token}")] if token else []

    def close(self):
        self.channel.close()

    def _reflect(self, **question):
        answer = next(iter(self._ask(iter([self._request(**question)]), timeout=30, metadata=self.metadata)))
        if answer.error_response.error_code:
            raise AssertionError(f"reflection of {question}: {answer.error_response.error_message}")
        return answer

    def services(self):
        return sorted(service.name for service in self._reflect(list_services="").list_services_response.service)

    def _add(self, serialized):
        for content in serialized:
            file = descriptor_pb2.FileDescriptorProto.FromString(content)
            if file.name in self._files:
                continue
            self._files.add(file.name)
            for dependency in file.dependency:
                if dependency not in self._files:
                    self._add(self._reflect(file_by_filename=dependency).file_descriptor_response.file_descriptor_proto)
            self.pool.Add(file)

    def service(self, name):
        try:
            return self.pool.FindServiceByName(name)
        except KeyError:
            self._add(self._reflect(file_containing_symbol=name).file_descriptor_response.file_descriptor_proto)
            return self.pool.FindServiceByName(name)

    def method(self, service, name):
        return self.service(service).FindMethodByName(name)

    def methods(self):
        """["lockstep.v1.Jobs/GetJob", ...]: everything that the server offers. gRPC's own health service is listed without its methods."""
        own = {"grpc.health.v1.Health": ("Check", "Watch")}
        return sorted(f"{service}/{method}" for service in self.services()
                      for method in own.get(service) or [method.name for method in self.service(service).methods])

    def message(self, name, **fields):
        return class_of(self.pool, name)(**fields)

    def call(self, service, name, /, request=None, timeout=60, **fields):
        method = self.method(service, name)
        proto = descriptor_pb2.MethodDescriptorProto()
        method.CopyToProto(proto)
        kind = self.channel.unary_stream if proto.server_streaming else self.channel.unary_unary
        request_class = class_of(self.pool, method.input_type.full_name)
        invoke = kind(f"/{service}/{name}", request_serializer=request_class.SerializeToString,
                      response_deserializer=class_of(self.pool, method.output_type.full_name).FromString)
        return invoke(request if request is not None else request_class(**fields), timeout=timeout, metadata=self.metadata)
