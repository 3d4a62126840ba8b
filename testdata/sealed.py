# Prints what TestSealedFormatIsFixed wants: a verifier and a sealed ticket, by
# another implementation. It needs the package cryptography.
import base64, hashlib, hmac, struct, uuid
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

seal_key = b"0123456789abcdef0123456789abcdef"
prefix, id, subject = "AuthSessionStore-", "0190a5f0-1234-7abc-8def-0123456789ab", "alice in wonderland ä"
secret, nonce, ticket = bytes(range(32)), bytes(range(12)), b'{"v":1}'


def bound(purpose):
    parts = [part.encode() for part in (purpose, prefix, id, subject)]
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def key(purpose):
    return HKDF(hashes.SHA256(), 32, None, bound(purpose)).derive(seal_key)


def show(b):
    print(base64.urlsafe_b64encode(b).rstrip(b"=").decode())


message = secret + uuid.UUID(id).bytes + subject.encode()
show(hmac.new(key("ticketstore verifier"), message, hashlib.sha256).digest())
show(nonce + AESGCM(key("ticketstore ticket")).encrypt(nonce, ticket, bound("ticketstore ticket")))
