"""Checks bodies against botocore's own model of EKS: types, enums, required and unknown members."""
import numbers


class Shapes:
    def __init__(self, service_model):
        self.model = service_model
        self.problems = []
        self.checked = 0

    def say(self, at, problem):
        self.problems.append(f"{at}: {problem}")

    def value(self, shape, value, at, is_request):
        kinds = {"string": str, "boolean": bool, "structure": dict, "map": dict, "list": list}
        kind = shape.type_name
        if kind in ("integer", "long", "timestamp", "double", "float"):
            fits = isinstance(value, numbers.Number) and not isinstance(value, bool)
            fits = fits and (kind not in ("integer", "long") or isinstance(value, int))
        else:
            fits = isinstance(value, kinds[kind])
        if not fits:
            return self.say(at, f"{value!r} is no {kind}")
        if kind == "structure":
            members = {m.serialization.get("name", name): m for name, m in shape.members.items()}
            for name in shape.required_members:
                if name not in value and "location" not in shape.members[name].serialization:
                    self.say(at, f"{name} is missing")
            for name, item in value.items():
                if name in members and "location" not in members[name].serialization:
                    self.value(members[name], item, f"{at}.{name}", is_request)
                else:
                    self.say(at, f"{name} is unknown")
        elif kind == "map":
            for key, item in value.items():
                self.value(shape.value, item, f"{at}[{key}]", is_request)
        elif kind == "list":
            for index, item in enumerate(value):
                self.value(shape.member, item, f"{at}[{index}]", is_request)
        elif kind == "string" and shape.enum and value not in shape.enum:
            self.say(at, f"{value!r} is none of {shape.enum}")
        # An empty map of tags breaks the model's own minimum, and is what EKS replies.
        if is_request and kind in ("string", "list", "map"):
            least, most = shape.metadata.get("min", 0), shape.metadata.get("max", 1 << 30)
            if not least <= len(value) <= most:
                self.say(at, f"a length of {len(value)} is not within {least} to {most}")

    def request(self, operation, body):
        self.checked += 1
        shape = self.model.operation_model(operation).input_shape
        self.value(shape, body, f"{operation} request", True)

    def reply(self, operation, status, headers, body):
        self.checked += 1
        if status == 200:
            shape = self.model.operation_model(operation).output_shape
            return self.value(shape, body, f"{operation} reply", False)
        code = headers.get("x-amzn-errortype", "")
        errors = {shape.name: shape for shape in self.model.error_shapes}
        if code not in errors:
            return self.say(operation, f"{code!r} is no error of EKS")
        wanted = errors[code].metadata["error"]["httpStatusCode"]
        if status != wanted:
            self.say(operation, f"{code} has status {status}, not {wanted}")
        self.value(errors[code], body, f"{operation} {code}", False)
