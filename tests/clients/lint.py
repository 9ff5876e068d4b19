"""Lints certificates and revocation lists with pkilint, somebody else's linter of RFC 5280 and what came after it.

Each file holds one document after the other, its length in four bytes before it: lengths in DER are among what may be wrong.
Prints one JSON object: how many documents were linted, and each finding at NOTICE or above, with its severity and the places of
the documents that have it:

    lint.py --certificates certificates --lists lists
"""

import argparse
import collections
import json
import multiprocessing
import pathlib

from pkilint import loader, pkix
from pkilint.pkix import certificate, crl, extension, name
from pkilint.validation import ValidationFindingSeverity


def documents(path):
    """The documents of a file."""
    data = pathlib.Path(path).read_bytes() if path else b""
    found = []
    start = 0
    while start < len(data):
        end = start + 4 + int.from_bytes(data[start : start + 4], "big")
        found.append(data[start + 4 : end])
        start = end
    return found


def linter_of_certificates():
    """As the command `lint_pkix_cert` puts it together."""
    return certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )


def linter_of_lists():
    """As the command `lint_crl` with the PKIX profile."""
    return crl.create_pkix_crl_validator_container(
        [
            pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
            pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
        ],
        [
            crl.create_issuer_validator_container([]),
            crl.create_validity_validator_container([]),
            crl.create_extensions_validator_container([]),
        ],
    )


KINDS = {
    "certificate": (loader.RFC5280CertificateDocumentLoader(), linter_of_certificates()),
    "list": (loader.RFC5280CertificateListDocumentLoader(), linter_of_lists()),
}


def lint(task):
    """The findings in one document, and where it stood."""
    kind, place, der = task
    reader, linter = KINDS[kind]
    try:
        root = reader.load_der_document(der, kind, str(place)).root
    except ValueError as error:
        return kind, place, [("FATAL", f"unreadable: {error}")]
    return kind, place, [
        (found.finding.severity.name, found.finding.code)
        for result in linter.validate(root)
        for found in result.finding_descriptions
        if found.finding.severity <= ValidationFindingSeverity.NOTICE
    ]


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--certificates")
    arguments.add_argument("--lists")
    arguments = arguments.parse_args()
    certificates, lists = documents(arguments.certificates), documents(arguments.lists)
    tasks = [("certificate", place, der) for place, der in enumerate(certificates)]
    tasks += [("list", place, der) for place, der in enumerate(lists)]
    findings = collections.defaultdict(list)
    with multiprocessing.Pool() as pool:
        for kind, place, found in pool.imap(lint, tasks, chunksize=64):
            for severity, code in found:
                findings[f"{kind}: {severity} {code}"].append(place)
    print(json.dumps({"certificates": len(certificates), "lists": len(lists), "findings": findings}))


if __name__ == "__main__":
    main()
