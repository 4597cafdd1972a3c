extension Settings {
    /// Every key there is, in the order of the default file.
    package static let declarations: [Declaration] =
        Self.placeDeclarations + Self.proxyDeclarations + Self.httpDeclarations + Self.tlsDeclarations + Self.mqttDeclarations + Self.chatDeclarations
        + Self.accountDeclarations + Self.federationDeclarations + Self.logDeclarations
}
