import SkerryModel
import Testing

@testable import Settings

@Suite("Reading the settings")
struct SettingsLoaderTests {
    private func load(
        file: String? = nil, environment: [String: String] = [:], flags: [(String, String, String)] = [], files: [String: String] = [:]
    ) throws(SettingsError) -> Settings {
        var files = files
        if let file { files["/etc/box.conf"] = file }
        let contents = files
        return try SettingsLoader(
            flags: flags.map { .init(key: $0.0, value: $0.1, name: $0.2) }, environment: environment.merging(["HOME": "/home/ann"]) { given, _ in given },
            configPath: file == nil ? nil : "/etc/box.conf"
        ) { path throws(SettingsError) in contents[path].map { Array($0.utf8) } }.load()
    }

    private func problems(
        file: String? = nil, environment: [String: String] = [:], flags: [(String, String, String)] = [], files: [String: String] = [:]
    ) -> [String] {
        do throws(SettingsError) { _ = try self.load(file: file, environment: environment, flags: flags, files: files) } catch { return error.problems }
        return []
    }

    @Test("Without anything set, the defaults hold")
    func defaults() throws {
        let settings = try self.load()
        #expect(settings.http.port == 8_080)
        #expect(settings.broker.anonymous == [])
        #expect(settings.data == "/home/ann/.local/state/skerry")
        #expect(settings.origins.isEmpty)
    }

    @Test("The environment wins over the file, an option over both, and each value remembers its place")
    func precedence() throws {
        let settings = try self.load(
            file: "# mine\nhttp.port = 1\nmqtt.port = 2\nhttps.port = 3\n\nlog.level = debug\n",
            environment: ["SKERRY_HTTP_PORT": "11", "SKERRY_MQTT_PORT": "12", "PATH": "/bin"], flags: [("http.port", "21", "--http-port")])
        #expect([settings.http.port, settings.mqtt.port, settings.https.port] == [21, 12, 3])
        #expect(settings.log.level == .debug)
        #expect(settings.origins["http.port"] == .flag(name: "--http-port"))
        #expect(settings.origins["mqtt.port"] == .environment(name: "SKERRY_MQTT_PORT"))
        #expect(settings.origins["https.port"] == .file(path: "/etc/box.conf", line: 4))
        #expect(settings.origins["mqtts.port"] == nil)
    }

    @Test("Every key can be set from each of the three places", arguments: Settings.declarations.map(\.key))
    func everyKey(_ key: String) throws {
        let declaration = try #require(Settings.declarations.first { $0.key == key })
        var value = declaration.render(Settings())
        if value.isEmpty {
            value =
                ["mqtt.anonymous": "a/#, b/+", "proxy.trusted": "10.0.0.0/8, ::1/128", "federation.addresses": "10.0.0.1:7000, fd00::2"][key] ?? "/somewhere"
        }
        var others = ["tls.certificate": "tls.key", "tls.key": "tls.certificate"].compactMapValues { $0 }
        others = others.filter { $0.key == key }
        let extra = others.values.map { ($0, "/other", "--set") }
        #expect(try self.load(file: "\(key) = \(value)\n", flags: extra).origins[key] == .file(path: "/etc/box.conf", line: 1))
        #expect(try self.load(environment: [declaration.environmentName: value], flags: extra).origins[key] == .environment(name: declaration.environmentName))
        let settings = try self.load(flags: extra + [(key, value, "--set")])
        #expect(settings.origins[key] == .flag(name: "--set"))
        #expect(declaration.render(settings) == value)
    }

    @Test("A wrong key is refused with its place and what was probably meant")
    func unknownKey() {
        #expect(self.problems(file: "\nhttp.prot = 80") == ["/etc/box.conf:2: http.prot is not a setting; did you mean http.port?"])
        #expect(self.problems(environment: ["SKERRY_MQTT_PORTS": "1"]) == ["environment: SKERRY_MQTT_PORTS is not a setting; did you mean SKERRY_MQTT_PORT?"])
        #expect(
            self.problems(flags: [("colour", "red", "--set colour")]) == [
                "option --set colour: colour is not a setting; `skerry settings --defaults` lists them all"
            ])
    }

    @Test(
        "A wrong value is refused with key, place and what it may be",
        arguments: [
            ("http.port", "65536", "must be a port from 0 to 65535, or a range such as 8080-8089 of at most 1000 ports"), ("http.port", "-1", "must be"),
            ("http.port", "", "must be"),
            ("http.port", "eighty", "must be"), ("http.port", "99999999999999999999", "must be"), ("https.enabled", "maybe", "must be true or false"),
            ("log.level", "loud", "must be one of trace, debug, info, notice, warning, error"), ("bind", "localhost", "must be an IPv4 or IPv6 address"),
            ("bind", "1.2.3", "must be"), ("bind", "1.2.3.256", "must be"), ("bind", ":::", "must be"), ("bind", "1::2::3", "must be"), ("bind", "", "must be"),
            ("mqtt.anonymous", "a//#/b", "is not a topic filter"), ("mqtt.anonymous", "a+", "is not a topic filter"),
            ("mqtt.anonymous", "a,,b", "empty topic filter"),
            ("mqtt.anonymous", "v1/#", "always need an account"), ("mqtt.anonymous", "$SYS/#", "always need an account"),
            ("mqtt.packet_bytes_max", "1T", "must be"), ("mqtt.packet_bytes_max", "9999999999G", "must be"),
            ("http.port", "80 # the port", "a comment needs a line of its own"),
        ])
    func wrongValue(_ key: String, _ value: String, _ reason: String) throws {
        let problem = try #require(self.problems(file: "#\n\(key) = \(value)").first)
        #expect(problem.hasPrefix("/etc/box.conf:2: \(key) "))
        #expect(problem.contains(reason))
    }

    @Test(
        "Addresses of both kinds are taken",
        arguments: ["0.0.0.0", "127.0.0.1", "::", "::1", "fe80::1%eth0", "2001:db8::", "1:2:3:4:5:6:7:8", "::ffff:10.0.0.1"])
    func addresses(_ address: String) throws {
        #expect(try self.load(file: "bind = \(address)").bind == address)
    }

    @Test("Sizes may be written with a unit, switches in the usual words, lists with commas")
    func forms() throws {
        let settings = try self.load(file: "mqtt.packet_bytes_max = 2m\nhttps.enabled = off\nmqtt.anonymous = sensors/# ,public/+/x,#")
        #expect(settings.broker.packetBytesMax == 2 << 20)
        #expect(!settings.https.isEnabled)
        #expect(settings.broker.anonymous == ["sensors/#", "public/+/x", "#"])
        #expect(try self.load(file: "mqtt.anonymous =").broker.anonymous == [])
    }

    @Test("Every problem is reported, not only the first")
    func all() {
        #expect(self.problems(file: "http.port = x\nnonsense = 1\nmqtt.port = y", environment: ["SKERRY_LOOPS": "many"]).count == 4)
    }

    @Test("The same key twice is a mistake, and so is a line without `=`")
    func syntax() {
        #expect(self.problems(file: "loops = 1\nloops = 2") == ["/etc/box.conf:2: loops was already set in line 1; remove one of the two"])
        #expect(
            self.problems(file: "loops\n= 3") == [
                "/etc/box.conf:1: expected `key = value`, or `#` before a comment", "/etc/box.conf:2: a key is missing before `=`",
            ])
    }

    @Test("Files of other systems are read: byte order mark, CR LF, tabs")
    func foreign() throws {
        #expect(try self.load(file: "\u{FEFF}http.port\t=\t81\r\n# x\r\nloops = 2\r\n").http.port == 81)
    }

    @Test("What is not text, or too long to be a settings file, is refused")
    func notText() {
        #expect(throws: SettingsError(["x:1: this line is not UTF-8 text"])) { _ = try ConfigFile(path: "x", bytes: [0xFF, 0xFE]) }
        #expect(throws: SettingsError(["x:1: this line is not UTF-8 text"])) { _ = try ConfigFile(path: "x", bytes: [0x61, 0]) }
        #expect(throws: SettingsError.self) { _ = try ConfigFile(path: "x", bytes: [UInt8](repeating: 35, count: ConfigFile.bytesMax + 1)) }
    }

    @Test("The data directory's own file is read when none is named, and cannot move the directory")
    func dataFile() throws {
        let files = ["/data/skerry.conf": "http.port = 99\n", "/home/ann/.local/state/skerry/skerry.conf": "http.port = 98\n"]
        #expect(try self.load(environment: ["SKERRY_DATA": "/data"], files: files).http.port == 99)
        #expect(try self.load(files: files).http.port == 98)
        #expect(try self.load(file: "http.port = 97", environment: ["SKERRY_DATA": "/data"], files: files).http.port == 97)
        #expect(try self.load(environment: ["STATE_DIRECTORY": "/data:/b"], files: files).data == "/data")
        #expect(try self.load(flags: [("data", "/x//", "--data")]).data == "/x")
        #expect(try self.load(file: "data = /y").data == "/y")
        let problem = self.problems(environment: ["SKERRY_DATA": "/data"], files: ["/data/skerry.conf": "\ndata = /elsewhere"])
        #expect(problem.first?.hasPrefix("/data/skerry.conf:2: data cannot be set") == true)
    }

    @Test("A file that was named must exist")
    func missing() {
        #expect(self.problems(environment: ["SKERRY_CONFIG": "/nowhere"]) == ["/nowhere: there is no such settings file"])
    }

    @Test("Settings that contradict each other are refused")
    func contradictions() {
        #expect(self.problems(file: "tls.key = /k").first?.hasPrefix("/etc/box.conf:1: tls.key is set but tls.certificate is not") == true)
        #expect(self.problems(file: "http.port = 5\nmqtt.port = 5").first?.contains("are both 5") == true)
        #expect(self.problems(file: "http.port = 0\nmqtt.port = 0").isEmpty)
        #expect(self.problems(file: "http.port = 1883\nmqtt.enabled = no").isEmpty)
        #expect(self.problems(file: "http.enabled=no\nhttps.enabled=no\nmqtt.enabled=no\nmqtts.enabled=no").count == 1)
    }

    @Test("The default file is read back as the defaults, also with every key uncommented")
    func defaultsFile() throws {
        let text = Settings.defaultsFile()
        #expect(try self.load(file: text).origins.isEmpty)
        let uncommented = text.split(separator: "\n", omittingEmptySubsequences: false).map { $0.hasPrefix("#") && !$0.hasPrefix("# ") ? $0.dropFirst() : $0 }
        let settings = try self.load(file: uncommented.joined(separator: "\n"))
        #expect(settings.origins.count == Settings.declarations.count)
        for declaration in Settings.declarations where declaration.key != "data" { #expect(declaration.render(settings) == declaration.render(Settings())) }
        #expect(text.split(separator: "\n").allSatisfy { $0.count <= 160 })
    }

    @Test("The summary names every key and where its value came from")
    func summary() throws {
        let text = try self.load(file: "loops = 2").summary()
        for declaration in Settings.declarations { #expect(text.contains("\(declaration.key) ")) }
        #expect(text.contains("= 2    (/etc/box.conf:1)"))
        #expect(text.contains("= 8080    (default)"))
    }

    @Test("Keys are unique, and so are their environment variables")
    func unique() {
        #expect(Set(Settings.declarations.map(\.key)).count == Settings.declarations.count)
        #expect(Set(Settings.declarations.map(\.environmentName)).count == Settings.declarations.count)
    }
}
