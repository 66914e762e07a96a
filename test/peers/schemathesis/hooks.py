"""What the OpenAPI document cannot say, so that the fuzzer asks for no more than it says."""

import schemathesis

# Why a request that fits its schema may still be malformed. A 400 for any other reason is a schema that says too little.
BEYOND_SCHEMAS = (
    "is not allowed",  # invisible characters and those that reorder text, wherever free text may stand
    "must be the path's",  # a body that names another resource than the path
    "of another list or filter",  # a cursor that was not given for this list
    "exclude each other",  # If-Match together with If-None-Match
    "must be an IP address",  # addresses and networks of both families
    "no such moment",  # 30 February
    "takes only",  # a header that arrives twice
    "with its quotes",  # Schemathesis takes the quotes off the ETag that it sends as If-Match
)

# Rules between the fields of one body; of a key, what its type and its connection take; of a token, what its type takes.
READ_BY_RULES = (
    "/v1/policies",
    "/v1/plans",
    "/v1/freeze",
    "/v1/floors",
    "/v1/issuers",
    "/v1/keys",
    "/v1/api-keys",
    "/v1/login",
)


@schemathesis.check
def failure_of_ours(ctx, response, case):
    """No 5xx, but for 503 with the seconds to wait: the machine under test may be busy."""
    if response.status_code < 500 or case.path == "/readyz":
        return None
    if response.status_code == 503 and "retry-after" in response.headers:
        return None
    raise AssertionError(f"{response.status_code}")


@schemathesis.check
def malformed_for_a_reason(ctx, response, case):
    """A 400 to a request that fits its schema names a rule that no schema can say."""
    generation = case.meta.generation if case.meta is not None else None
    if response.status_code != 400 or generation is None or not generation.mode.is_positive:
        return None
    problem = response.json()
    said = [problem.get("detail", "")] + [place["detail"] for place in problem.get("errors", [])]
    if any(reason in text for reason in BEYOND_SCHEMAS for text in said):
        return None
    if case.path.startswith(READ_BY_RULES) and problem.get("errors"):
        return None
    raise AssertionError(f"400 to what the schema accepts: {said}")


@schemathesis.hook
def before_call(ctx, case, kwargs):
    """Tokens are deleted only for show: the fuzzer would end its own, and be refused everywhere after."""
    if case.method.upper() == "DELETE" and case.path == "/v1/api-keys/{id}":
        query = dict(case.query or {})
        query.setdefault("dryRun", "all")
        case.query = query


@schemathesis.hook
def before_load_schema(ctx, raw_schema):
    """It comes by token, or without. How a browser comes is tried where one logs in: each way costs as many requests again."""
    del raw_schema["components"]["securitySchemes"]["session"]
    for operations in raw_schema["paths"].values():
        for operation in operations.values():
            operation["security"] = [way for way in operation["security"] if "session" not in way]
