"""Hand a call on to the AWS emulator, signed anew: the caller's signature is over another address."""

import socket

from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session

from local_cloud.parts.aws import REGION
from local_cloud.stand_ins.http import AwsError
from local_cloud.state import State

KEPT_HEADERS = ("Content-Type", "X-Amz-Target", "x-amzn-ErrorType", "x-amzn-RequestId")
# Without NODELAY headers and body go as two packets, and the second waits 40 ms for the first one's receipt.
NODELAY = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
SESSION = URLLib3Session(timeout=20, max_pool_connections=8, socket_options=NODELAY)


def sign(state: State, service: str, request: AWSRequest) -> AWSRequest:
    """The request with the reader's own signature for the emulator's address."""
    reader = Credentials(state.secret("reader_key_id"), state.secret("reader_secret"))
    SigV4Auth(reader, service, REGION).add_auth(request)
    return request


def pass_on(state: State, service: str, headers: dict[str, str], body: bytes) -> web.Response:
    """POST a query or JSON call to the emulator as it is; AwsError 503 while it is away."""
    kept = {name: headers[name] for name in KEPT_HEADERS if name in headers}
    url = f"http://127.0.0.1:{state.port('aws')}/"
    request = sign(state, service, AWSRequest(method="POST", url=url, headers=kept, data=body))
    try:
        answer = SESSION.send(request.prepare())
    except Exception as error:  # botocore has a class for every way of not reaching a server
        raise AwsError("ServiceUnavailable", f"the AWS emulator does not answer: {error}", 503) from None
    back = {name: answer.headers[name] for name in KEPT_HEADERS if name in answer.headers}
    return web.Response(status=answer.status_code, body=answer.content, headers=back)
