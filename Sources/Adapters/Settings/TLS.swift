extension Settings {
    static let tlsDeclarations: [Declaration] = [
        .path("tls.certificate", \.tls.certificate, "A PEM file with the certificate and its chain. When empty the box makes its own at the first start."),
        .path("tls.key", \.tls.key, "A PEM file with the certificate's private key. Set both or neither."),
    ]
}
