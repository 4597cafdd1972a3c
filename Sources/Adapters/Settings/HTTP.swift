import SkerryModel

extension Settings {
    static let httpDeclarations: [Declaration] = [
        .flag("http.enabled", \.http.isEnabled, "Web pages, REST and WebSocket without encryption."),
        .port("http.port", \.http.port, "The port of web pages, REST and WebSocket."),
        .flag("https.enabled", \.https.isEnabled, "The same with TLS."),
        .port("https.port", \.https.port, "The port of web pages, REST and WebSocket with TLS."),
        .choice(
            "https.client_certificates", \.https.clients,
            "Whether clients show a certificate there. It lets MQTT clients over secure WebSocket in, as with mqtts.client_certificates; people sign in as ever, "
                + "though browsers ask those who have certificates for one. With required, nobody sees the web pages without one."),
        .bytes("http.body_bytes_max", \.limits.httpBodyBytesMax, 4_096...16_777_216, "The largest body of a REST request; a larger one is refused with 413."),
        .flag(
            "websocket.compression", \.webSocket.compresses,
            "Offer permessage-deflate (RFC 7692) to WebSocket clients. Saves bandwidth, costs memory for every connection."),
    ]
}
