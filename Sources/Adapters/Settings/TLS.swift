extension Settings {
    static let tlsDeclarations: [Declaration] = [
        .path("tls.certificate", \.tls.certificate, "A PEM file with the certificate and its chain. When empty the box makes its own at the first start.")
            .live(),
        .path("tls.key", \.tls.key, "A PEM file with the certificate's private key. Set both or neither.").live(),
        .path("tls.client_authority", \.tls.clientAuthority, "A PEM file with the certificates of those whose signature makes a client certificate good.")
            .live(),
        .choice(
            "tls.client_name", \.tls.clientNaming,
            "Where a client certificate says whose it is: cn is the subject's common name, email the part before @ of the first e-mail address among the "
                + "alternative names, uri the NAME of an alternative name skerry:user:NAME. The user must exist and not be locked; locking is how a certificate "
                + "is revoked."
        ).live(),
    ]
}
