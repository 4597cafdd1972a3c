import ArgumentParser
import Settings
import SkerryServer

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run the box.",
        discussion: """
            Serves web chat, REST and WebSocket on the HTTP port and MQTT on its own. A port of 0 is the next free one, of a range such as 8080-8089 the lowest free one is taken; the ports in use are in \
            the log and in run/endpoints.json of the data directory. Every other setting: --set, the environment or the settings file; \
            `skerry settings --defaults` lists them all. SIGHUP, or `skerry reload`, has the settings and certificates read anew; SIGTERM ends it.
            """)

    @OptionGroup var place: PlaceOptions

    @Option(help: ArgumentHelp("The address to listen on.", valueName: "addr"))
    var bind: String?

    @Option(help: ArgumentHelp("Port of web pages, REST and WebSocket.", valueName: "n"))
    var httpPort: String?

    @Option(help: ArgumentHelp("The same with TLS.", valueName: "n"))
    var httpsPort: String?

    @Option(help: ArgumentHelp("Port of MQTT.", valueName: "n"))
    var mqttPort: String?

    @Option(help: ArgumentHelp("Port of MQTT with TLS.", valueName: "n"))
    var mqttsPort: String?

    @Option(help: ArgumentHelp("Port for paired boxes.", valueName: "n"))
    var federationPort: String?

    @Option(help: ArgumentHelp("Topic filters, separated by commas, that MQTT clients without an account may use.", valueName: "filters"))
    var mqttAnonymous: String?

    @Option(help: ArgumentHelp("trace, debug, info, notice, warning or error.", valueName: "level"))
    var logLevel: String?

    @Option(name: .customLong("set"), help: ArgumentHelp("Any setting, as in the settings file. May be repeated.", valueName: "key=value"))
    var assignments: [String] = []

    func run() async throws {
        let flags = try self.flags()
        let settings = try self.place.settings(flags)
        do {
            try await BoxServer.run(settings, source: self.place.source(flags))
        } catch {
            complain("\(error)")
            throw ExitCode.failure
        }
    }

    private func flags() throws -> [SettingsLoader.Flag] {
        var flags: [SettingsLoader.Flag] = []
        let named = [
            ("bind", self.bind, "--bind"), ("http.port", self.httpPort, "--http-port"), ("https.port", self.httpsPort, "--https-port"),
            ("mqtt.port", self.mqttPort, "--mqtt-port"), ("mqtts.port", self.mqttsPort, "--mqtts-port"),
            ("federation.port", self.federationPort, "--federation-port"),
            ("mqtt.anonymous", self.mqttAnonymous, "--mqtt-anonymous"), ("log.level", self.logLevel, "--log-level"),
        ]
        for (key, value, name) in named {
            if let value { flags.append(SettingsLoader.Flag(key: key, value: value, name: name)) }
        }
        for assignment in self.assignments {
            guard let equals = assignment.firstIndex(of: "=") else { throw ValidationError("--set takes key=value, such as --set http.port=8080") }
            let key = assignment[..<equals]
            flags.append(SettingsLoader.Flag(key: String(key), value: String(assignment[assignment.index(after: equals)...]), name: "--set \(key)"))
        }
        return flags
    }
}
