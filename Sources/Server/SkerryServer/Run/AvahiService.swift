package import Settings
import SkerryModel

/// The file by which Avahi announces the box, so that phones and browsers on the same network find it by name. A static file: the box speaks to no daemon.
package enum AvahiService {
    package static func text(_ settings: Settings) -> String {
        var services = ""
        for (type, listener) in [("_http._tcp", settings.http), ("_https._tcp", settings.https)] where listener.isEnabled {
            if let port = listener.port.fixed { services += Self.service(type, port, "path=/") }
        }
        if settings.federationPort.isEnabled, let port = settings.federationPort.port.fixed {
            services += Self.service("_skerry._tcp", port, "version=1")
        }
        return """
            <?xml version="1.0" standalone="no"?>
            <!DOCTYPE service-group SYSTEM "avahi-service.dtd">
            <service-group>
              <name replace-wildcards="yes">\(Self.escaped(settings.federation.name.isEmpty ? "Skerry on %h" : settings.federation.name))</name>
            \(services)</service-group>

            """
    }

    private static func service(_ type: String, _ port: Int, _ record: String) -> String {
        """
          <service>
            <type>\(type)</type>
            <port>\(port)</port>
            <txt-record>\(record)</txt-record>
          </service>

        """
    }

    private static func escaped(_ text: String) -> String {
        var result = ""
        for character in text {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            default: result.append(character)
            }
        }
        return result
    }
}
