# SPDX-License-Identifier: GPL-2.0-or-later
"""The tables of all algorithms, strongest first; `harness.ike.transforms` finds records in them.

Numbers: the IANA registries of IKEv2, "Internet Key Exchange (IKE) Attributes" and "IPsec DOI".
Names: what strongSwan, Libreswan, OpenIKED, ipsec-tools, the kernel and Wireshark accept.
"""

from harness.ike.algorithm_records import (
    CipherKind,
    Encryption,
    GroupKind,
    Integrity,
    KeyExchange,
    MacKind,
    Names,
    Prf,
    SequenceNumbers,
)

CBC, CTR, GCM, CCM = CipherKind.CBC, CipherKind.CTR, CipherKind.GCM, CipherKind.CCM
AES_KEY_BITS = (128, 192, 256)


def _aes_cbc(bits: int) -> Encryption:
    return Encryption(
        f"AES_CBC_{bits}", "ENCR_AES_CBC", CBC, "aes", bits, 16, 16, 0, 0, 12, 7, 12, True, False,
        Names(
            strongswan=f"aes{bits}",
            racoon="aes", seil=f"aes{bits}", setkey="rijndael-cbc", xfrm="cbc(aes)",
            wireshark_ike=f"AES-CBC-{bits} [RFC3602]", wireshark_esp="AES-CBC [RFC3602]",
            also=("rijndael", "aes-cbc", f"aes{bits}", "aes_cbc"),
        ),
    )  # fmt: skip


def _aes_ctr(bits: int) -> Encryption:
    return Encryption(
        f"AES_CTR_{bits}", "ENCR_AES_CTR", CTR, "aes", bits, 1, 8, 4, 0, 13, None, 13, True, False,
        Names(
            strongswan=f"aes{bits}ctr", setkey="aes-ctr", xfrm="rfc3686(ctr(aes))",
            wireshark_ike=f"AES-CTR-{bits} [RFC5930]", wireshark_esp="AES-CTR [RFC3686]",
        ),
    )  # fmt: skip


def _aes_gcm(bits: int, icv: int) -> Encryption:
    number = {8: 18, 12: 19, 16: 20}[icv]
    return Encryption(
        f"AES_GCM_{icv}_{bits}", f"ENCR_AES_GCM_{icv}", GCM, "aes", bits, 1, 8, 4, icv,
        number, None, number, True, False,
        Names(
            strongswan=f"aes{bits}gcm{icv}",
            setkey="aes-gcm-16" if icv == 16 else None, xfrm="rfc4106(gcm(aes))",
            wireshark_ike=f"AES-GCM-{bits} with {icv} octet ICV [RFC5282]",
            wireshark_esp=f"AES-GCM with {icv} octet ICV [RFC4106]",
            also=(f"aes{bits}gcm{icv * 8}", f"aes_gcm_{icv}")
            + ((f"aes{bits}gcm", "aes_gcm", f"aes_gcm_{bits}") if icv == 16 else ()),
        ),
    )  # fmt: skip


def _aes_ccm(bits: int, icv: int) -> Encryption:
    number = {8: 14, 12: 15, 16: 16}[icv]
    return Encryption(
        f"AES_CCM_{icv}_{bits}", f"ENCR_AES_CCM_{icv}", CCM, "aes", bits, 1, 8, 3, icv,
        number, None, number, True, False,
        Names(
            strongswan=f"aes{bits}ccm{icv}", xfrm="rfc4309(ccm(aes))",
            wireshark_ike=f"AES-CCM-{bits} with {icv} octet ICV [RFC5282]",
            also=(f"aes{bits}ccm{icv * 8}", f"aes_ccm_{icv}")
            + ((f"aes{bits}ccm", "aes_ccm", f"aes_ccm_{bits}") if icv == 16 else ()),
        ),
    )  # fmt: skip


def _aes_gmac(bits: int) -> Encryption:
    return Encryption(
        f"NULL_AUTH_AES_GMAC_{bits}", "ENCR_NULL_AUTH_AES_GMAC", CipherKind.GMAC, "aes", bits,
        1, 8, 4, 16, 21, None, 23, True, False,
        Names(strongswan=f"aes{bits}gmac", xfrm="rfc4543(gcm(aes))"),
    )  # fmt: skip


def _camellia_cbc(bits: int) -> Encryption:
    return Encryption(
        f"CAMELLIA_CBC_{bits}", "ENCR_CAMELLIA_CBC", CBC, "camellia", bits, 16, 16, 0, 0,
        23, 8, 22, True, False,
        Names(
            strongswan=f"camellia{bits}", racoon="camellia",
            setkey="camellia-cbc", xfrm="cbc(camellia)", also=("camellia",),
        ),
    )  # fmt: skip


def _blowfish(bits: int) -> Encryption:
    # Wireshark knows this and CAST with 128 bits only.
    return Encryption(
        f"BLOWFISH_{bits}", "ENCR_BLOWFISH", CBC, "blowfish", bits, 8, 8, 0, 0,
        7, 3, 7, True, True,
        Names(
            strongswan=f"blowfish{bits}" if bits <= 256 else None,
            racoon="blowfish", setkey="blowfish-cbc", xfrm="cbc(blowfish)",
            wireshark_esp="BLOWFISH-CBC [RFC2451]" if bits == 128 else None, also=("blowfish",),
        ),
    )  # fmt: skip


def _cast(bits: int) -> Encryption:
    return Encryption(
        f"CAST_{bits}", "ENCR_CAST", CBC, "cast", bits, 8, 8, 0, 0, 6, 6, 6, True, True,
        Names(
            strongswan="cast128" if bits == 128 else None, racoon="cast128",
            setkey="cast128-cbc", xfrm="cbc(cast5)",
            wireshark_esp="CAST5-CBC [RFC2144]" if bits == 128 else None, also=("cast",),
        ),
    )  # fmt: skip


DES = Encryption(
    "DES", "ENCR_DES", CBC, "des", 64, 8, 8, 0, 0, 2, 1, 2, False, True,
    Names(
        strongswan="des", racoon="des", seil="des", setkey="des-cbc", xfrm="cbc(des)",
        wireshark_esp="DES-CBC [RFC2405]",
    ),
)  # fmt: skip
TRIPLE_DES = Encryption(
    "3DES", "ENCR_3DES", CBC, "3des", 192, 8, 8, 0, 0, 3, 5, 3, False, True,
    Names(
        strongswan="3des", racoon="3des", seil="3des",
        setkey="3des-cbc", xfrm="cbc(des3_ede)", wireshark_ike="3DES [RFC2451]",
        wireshark_esp="TripleDES-CBC [RFC2451]", also=("3des_cbc",),
    ),
)  # fmt: skip
NULL = Encryption(
    "NULL", "ENCR_NULL", CipherKind.NULL, "null", 0, 1, 0, 0, 0, 11, None, 11, False, True,
    Names(
        strongswan="null", racoon="null_enc", seil="null",
        setkey="null", xfrm="ecb(cipher_null)", wireshark_ike="NULL [RFC2410]",
        wireshark_esp="NULL",
    ),
)  # fmt: skip
CHACHA20_POLY1305 = Encryption(
    "CHACHA20_POLY1305", "ENCR_CHACHA20_POLY1305", CipherKind.CHACHA, "chacha20", 256,
    1, 8, 4, 16, 28, None, None, False, False,
    Names(
        strongswan="chacha20poly1305", setkey="chacha20-poly1305",
        xfrm="rfc7539esp(chacha20,poly1305)",
    ),
)  # fmt: skip

ENCRYPTIONS: tuple[Encryption, ...] = (
    *(_aes_gcm(bits, icv) for icv in (16, 12, 8) for bits in AES_KEY_BITS),
    CHACHA20_POLY1305,
    *(_aes_ccm(bits, icv) for icv in (16, 12, 8) for bits in AES_KEY_BITS),
    *(_aes_cbc(bits) for bits in AES_KEY_BITS),
    *(_aes_ctr(bits) for bits in AES_KEY_BITS),
    *(_camellia_cbc(bits) for bits in AES_KEY_BITS),
    *(_aes_gmac(bits) for bits in AES_KEY_BITS),
    TRIPLE_DES,
    DES,
    *(_blowfish(bits) for bits in (128, 160, 192, 256, 448)),
    *(_cast(bits) for bits in (128, 80, 40)),
    NULL,
)


HMAC, KEYED, NO_MAC = MacKind.HMAC, MacKind.KEYED, MacKind.NONE


def _hmac(
    name: str, key: int, icv: int, ids: tuple[int | None, int | None, int | None], names: Names,
    *, hash_name: str, weak: bool = False,
) -> Integrity:  # fmt: skip
    return Integrity(name, f"AUTH_{name}", HMAC, hash_name, key, icv, *ids, weak, names)


INTEGRITIES: tuple[Integrity, ...] = (
    _hmac("HMAC_SHA2_256_128", 32, 16, (12, 5, 5), Names(
        strongswan="sha256",
        racoon="hmac_sha256", seil="hmac-sha256", setkey="hmac-sha256", xfrm="hmac(sha256)",
        wireshark_ike="HMAC_SHA2_256_128 [RFC4868]", wireshark_esp="HMAC-SHA-256-128 [RFC4868]",
        also=("sha2_256", "hmac-sha2-256", "hmac_sha2_256", "sha2"),
    ), hash_name="sha256"),
    _hmac("HMAC_SHA2_384_192", 48, 24, (13, 6, 6), Names(
        strongswan="sha384",
        racoon="hmac_sha384", seil="hmac-sha384", setkey="hmac-sha384", xfrm="hmac(sha384)",
        wireshark_ike="HMAC_SHA2_384_192 [RFC4868]", wireshark_esp="HMAC-SHA-384-192 [RFC4868]",
        also=("sha2_384", "hmac-sha2-384", "hmac_sha2_384"),
    ), hash_name="sha384"),
    _hmac("HMAC_SHA2_512_256", 64, 32, (14, 7, 7), Names(
        strongswan="sha512",
        racoon="hmac_sha512", seil="hmac-sha512", setkey="hmac-sha512", xfrm="hmac(sha512)",
        wireshark_ike="HMAC_SHA2_512_256 [RFC4868]", wireshark_esp="HMAC-SHA-512-256 [RFC4868]",
        also=("sha2_512", "hmac-sha2-512", "hmac_sha2_512"),
    ), hash_name="sha512"),
    _hmac("HMAC_SHA1_96", 20, 12, (2, 2, 3), Names(
        strongswan="sha1",
        racoon="hmac_sha1", seil="hmac-sha1", setkey="hmac-sha1", xfrm="hmac(sha1)",
        wireshark_ike="HMAC_SHA1_96 [RFC2404]", wireshark_esp="HMAC-SHA-1-96 [RFC2404]",
        also=("sha",),
    ), hash_name="sha1"),
    _hmac("HMAC_MD5_96", 16, 12, (1, 1, 2), Names(
        strongswan="md5", racoon="hmac_md5", seil="hmac-md5", setkey="hmac-md5", xfrm="hmac(md5)",
        wireshark_ike="HMAC_MD5_96 [RFC2403]", wireshark_esp="HMAC-MD5-96 [RFC2403]",
    ), hash_name="md5", weak=True),
    # RFC 4595, for Fibre Channel: the same hashes without truncation.
    _hmac("HMAC_SHA1_160", 20, 20, (7, None, None), Names(
        strongswan="sha1_160", xfrm="hmac(sha1)", wireshark_ike="HMAC_SHA1_160 [RFC4595]",
    ), hash_name="sha1", weak=True),
    _hmac("HMAC_MD5_128", 16, 16, (6, None, None), Names(
        strongswan="md5_128", xfrm="hmac(md5)", wireshark_ike="HMAC_MD5_128 [RFC4595]",
    ), hash_name="md5", weak=True),
    # The truncation of an early draft, which old kernels applied under the number of the RFC:
    # the id on the wire does not tell them apart, so lookup by number never gives this one.
    _hmac("HMAC_SHA2_256_96", 32, 12, (None, None, None), Names(
        strongswan="sha256_96", xfrm="hmac(sha256)",
        wireshark_esp="HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]", also=("sha2_256_96",),
    ), hash_name="sha256", weak=True),
    Integrity("AES_XCBC_96", "AUTH_AES_XCBC_96", MacKind.XCBC, "aes", 16, 12, 5, 9, 9, False,
        Names(strongswan="aesxcbc", setkey="aes-xcbc-mac", xfrm="xcbc(aes)")),
    Integrity("AES_CMAC_96", "AUTH_AES_CMAC_96", MacKind.CMAC, "aes", 16, 12, 8, None, None, False,
        Names(strongswan="aescmac", xfrm="cmac(aes)")),
    # RFC 1828 and 1852 as KAME does them; set by hand only.
    Integrity("KEYED_MD5", "AUTH_KPDK_MD5", KEYED, "md5", 16, 12, 4, 4, None, True,
        Names(setkey="keyed-md5")),
    Integrity("KEYED_SHA1", "KEYED_SHA1", KEYED, "sha1", 20, 12, None, None, None, True,
        Names(setkey="keyed-sha1")),
    Integrity("NONE", "NONE", NO_MAC, "", 0, 0, 0, None, None, True,
        Names(racoon="non_auth", setkey="null", xfrm="digest_null",
              wireshark_ike="NONE [RFC4306]", wireshark_esp="NULL")),
)  # fmt: skip


PRFS: tuple[Prf, ...] = (
    Prf("HMAC_SHA2_256", "PRF_HMAC_SHA2_256", HMAC, "sha256", 32, 32, 5, 4, False, Names(
        strongswan="prfsha256", racoon="sha256", seil="sha256", also=("sha256", "sha2"))),
    Prf("HMAC_SHA2_384", "PRF_HMAC_SHA2_384", HMAC, "sha384", 48, 48, 6, 5, False, Names(
        strongswan="prfsha384", racoon="sha384", seil="sha384", also=("sha384",))),
    Prf("HMAC_SHA2_512", "PRF_HMAC_SHA2_512", HMAC, "sha512", 64, 64, 7, 6, False, Names(
        strongswan="prfsha512", racoon="sha512", seil="sha512", also=("sha512",))),
    Prf("HMAC_SHA1", "PRF_HMAC_SHA1", HMAC, "sha1", 20, 20, 2, 2, False, Names(
        strongswan="prfsha1", racoon="sha1", seil="sha1", also=("sha",))),
    Prf("HMAC_MD5", "PRF_HMAC_MD5", HMAC, "md5", 16, 16, 1, 1, True, Names(
        strongswan="prfmd5", racoon="md5", seil="md5")),
    Prf("AES128_XCBC", "PRF_AES128_XCBC", MacKind.XCBC, "aes", 16, 16, 4, None, False, Names(
        strongswan="prfaesxcbc")),
    Prf("AES128_CMAC", "PRF_AES128_CMAC", MacKind.CMAC, "aes", 16, 16, 8, None, False, Names(
        strongswan="prfaescmac")),
)  # fmt: skip


def _modp(bits: int, number: int, *, weak: bool = False) -> KeyExchange:
    size = bits // 8
    group = f"modp{bits}"
    return KeyExchange(
        f"MODP_{bits}", f"{bits}-bit MODP Group", GroupKind.MODP, "", size, size, size, number,
        weak, Names(strongswan=group, racoon=group, seil=group,
                    also=(f"dh{number}", f"grp{number}", str(number))),
    )  # fmt: skip


def _modp_subgroup(bits: int, order: int, number: int) -> KeyExchange:
    size = bits // 8
    return KeyExchange(
        f"MODP_{bits}_{order}", f"{bits}-bit MODP Group with {order}-bit Prime Order Subgroup",
        GroupKind.MODP, "", size, size, size, number, True,
        Names(strongswan=f"modp{bits}s{order}", also=(f"dh{number}",)),
    )  # fmt: skip


def _curve(curve: str, bits: int, number: int, names: Names) -> KeyExchange:
    size = (bits + 7) // 8
    rfc_name = f"{bits}-bit random ECP group" if number < 25 else curve
    name = f"ECP_{bits}" if number < 25 else f"BRAINPOOL_{bits}"
    return KeyExchange(
        name, rfc_name, GroupKind.ECP, curve, 2 * size, 2 * size, size, number, False, names
    )


KEY_EXCHANGES: tuple[KeyExchange, ...] = (
    _modp(768, 1, weak=True),
    _modp(1024, 2, weak=True),
    _modp(1536, 5, weak=True),
    *(_modp(b, n) for b, n in ((2048, 14), (3072, 15), (4096, 16), (6144, 17), (8192, 18))),
    _curve("secp256r1", 256, 19, Names("ecp256", also=("ecp_256", "grp19", "19"))),
    _curve("secp384r1", 384, 20, Names("ecp384", also=("ecp_384", "grp20", "20"))),
    _curve("secp521r1", 521, 21, Names("ecp521", also=("ecp_521", "grp21", "21"))),
    _modp_subgroup(1024, 160, 22),
    _modp_subgroup(2048, 224, 23),
    _modp_subgroup(2048, 256, 24),
    _curve("brainpoolP256r1", 256, 28, Names("ecp256bp", also=("grp28",))),
    _curve("brainpoolP384r1", 384, 29, Names("ecp384bp", also=("grp29",))),
    _curve("brainpoolP512r1", 512, 30, Names("ecp512bp", also=("grp30",))),
    KeyExchange("X25519", "Curve25519", GroupKind.MONTGOMERY, "x25519", 32, 32, 32, 31, False,
        Names("x25519", also=("grp31", "31"))),
    KeyExchange("X448", "Curve448", GroupKind.MONTGOMERY, "x448", 56, 56, 56, 32, False,
        Names("x448", also=("curve448", "32"))),
    KeyExchange("ML_KEM_768", "ml-kem-768", GroupKind.KEM, "ml-kem-768", 1184, 1088, 32, 36,
        False, Names("mlkem768", also=("ml-kem-768",))),
    KeyExchange("ML_KEM_1024", "ml-kem-1024", GroupKind.KEM, "ml-kem-1024", 1568, 1568, 32, 37,
        False, Names("mlkem1024", also=("ml-kem-1024",))),
)  # fmt: skip

NO_ESN = SequenceNumbers("NO_ESN", 0, False, "noesn")
ESN = SequenceNumbers("ESN", 1, True, "esn")
SEQUENCE_NUMBERS = (NO_ESN, ESN)
