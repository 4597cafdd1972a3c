/// Whether a TLS listener asks its clients for certificates.
package enum ClientCertificates: String, Sendable, Hashable, CaseIterable {
    case off
    /// One that is shown must be good; nobody has to show one.
    case optional
    /// Without a good one there is no connection.
    case required
}

/// Where a client's certificate says whose it is.
package enum CertificateNaming: String, Sendable, Hashable, CaseIterable {
    /// The subject's one common name is the user's name.
    case commonName = "cn"
    /// The part before `@` of the first e-mail address among the subject's alternative names.
    case email
    /// The first alternative name that is a URI of the form `skerry:user:NAME`.
    case uri
}
