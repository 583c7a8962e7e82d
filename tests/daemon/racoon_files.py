# SPDX-License-Identifier: GPL-2.0-or-later
"""racoon.conf files as an administrator writes them, and the certificates that they name."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.ike.v1.test_signatures import certificate, key

ANONYMOUS = """\
path include "/usr/local/etc/racoon";
path certificate "cert";
path backupsa "/usr/local/etc/racoon/backupsa";
remote anonymous {
    exchange_mode main,aggressive;
    certificate_type x509 "host_cert.pem" "host_priv.pem";
    my_identifier asn1dn;
    proposal {
        authentication_method rsasig;
        encryption_algorithm 3des;
        hash_algorithm sha1;
        dh_group 2 ;
    }
}
sainfo anonymous {
    lifetime time 3 min;
    encryption_algorithm 3des ;
    authentication_algorithm hmac_sha1;
    compression_algorithm deflate ;
}
"""

PAIR = """\
sainfo address 10.0.0.1 any address 10.0.0.2 any {
    lifetime time 30 sec;
    encryption_algorithm blowfish ;
    authentication_algorithm hmac_md5;
    compression_algorithm deflate ;
}
"""

NAMED = ANONYMOUS.replace("remote anonymous", "remote 10.0.0.2")
TO_PEER = NAMED[: NAMED.index("sainfo")] + PAIR

PRESHARED = """\
path pre_shared_key "psk.txt";
listen { isakmp 10.0.0.1 [500]; }
remote 10.0.0.2 {
    exchange_mode main;
    proposal {
        encryption_algorithm aes 256;
        hash_algorithm sha256;
        authentication_method pre_shared_key;
        dh_group modp1536;
    }
}
sainfo address 192.168.1.0/24 any address 192.168.2.0/24 any {
    pfs_group 5;
    encryption_algorithm aes 256, aes 128, 3des;
    authentication_algorithm hmac_sha256, hmac_sha1;
    compression_algorithm deflate;
}
"""


def pem(private: rsa.RSAPrivateKey) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def write_files(folder: Path, name: str = "moon") -> Path:
    """What the files name, in `folder`; the path of a racoon.conf there."""
    certificates = folder / "cert"
    certificates.mkdir(exist_ok=True)

    def write(file: str, what: x509.Certificate) -> None:
        (certificates / file).write_bytes(what.public_bytes(Encoding.PEM))

    write("host_cert.pem", certificate(name))
    write("cacert.pem", certificate("ca", "ca"))
    (certificates / "host_priv.pem").write_bytes(pem(key(name)))
    link = certificates / "0a1b2c3d.0"
    if not link.is_symlink():
        link.symlink_to("cacert.pem")
    (folder / "psk.txt").write_text("# peers\n10.0.0.9 other\n10.0.0.2   xeeB5gohvaYi\n")
    return folder / "racoon.conf"
