import SkerryModel
import Testing

@testable import Settings

@Suite("Settings of listeners, certificates and proxies")
struct ListenerSettingsTests {
    private func load(_ file: String, environment: [String: String] = [:], flags: [(String, String)] = []) throws(SettingsError) -> Settings {
        try SettingsLoader(
            flags: flags.map { .init(key: $0.0, value: $0.1, name: "--set") }, environment: environment.merging(["HOME": "/home/ann"]) { given, _ in given },
            configPath: "/etc/box.conf"
        ) { path throws(SettingsError) in path == "/etc/box.conf" ? Array(file.utf8) : nil }.load()
    }

    private func problems(_ file: String, environment: [String: String] = [:]) -> [String] {
        do throws(SettingsError) { _ = try self.load(file, environment: environment) } catch { return error.problems }
        return []
    }

    @Test("a listener has what it sets, and the rest as the whole box, wherever in the file that stands")
    func listeners() throws {
        let settings = try self.load(
            """
            mqtt.listeners.lan.bind = 192.168.1.2:1884
            mqtt.listeners.lan.receive_max = 7
            mqtt.listeners.lan.queue_policy = drop_oldest
            mqtt.listeners.lan.anonymous = sensors/#
            mqtt.listeners.iot.bind = [fd00::2]:1885
            mqtt.listeners.iot.interface = eth1
            mqtt.receive_max = 9
            mqtt.levels_max = 12
            """)
        #expect(settings.listeners.map(\.name) == ["iot", "lan"])
        let (iot, lan) = (settings.listeners[0], settings.listeners[1])
        #expect((lan.address, lan.port, lan.isTLS) == ("192.168.1.2", 1_884, false))
        #expect((iot.address, iot.port, iot.interface) == ("fd00::2", 1_885, "eth1"))
        #expect((lan.broker.receiveMax, iot.broker.receiveMax, settings.broker.receiveMax) == (7, 9, 9))
        #expect((lan.broker.levelsMax, iot.broker.levelsMax) == (12, 12))
        #expect((lan.broker.overflow, iot.broker.overflow) == (.dropOldest, .refuse))
        #expect((lan.broker.anonymous, lan.hasOwnAnonymous, iot.hasOwnAnonymous) == (["sensors/#"], true, false))
        #expect(settings.summary().contains("mqtt.listeners.lan.receive_max"))
        #expect(!settings.summary().contains("mqtt.listeners.iot.receive_max"), "only what is set")
    }

    @Test("the environment and options set them too, with the usual precedence")
    func places() throws {
        let settings = try self.load(
            "mqtt.listeners.lan.bind = 1884\nmqtt.listeners.lan.receive_max = 1\nmqtt.listeners.lan.levels_max = 1\n",
            environment: ["SKERRY_MQTT_LISTENERS_LAN_RECEIVE_MAX": "2", "SKERRY_MQTT_LISTENERS_LAN_LEVELS_MAX": "2", "SKERRY_MQTT_LISTENERS_B_BIND": "1885"],
            flags: [("mqtt.listeners.lan.levels_max", "3"), ("mqtt.listeners.c.bind", "1886")])
        #expect(settings.listeners.map(\.name) == ["b", "c", "lan"])
        #expect((settings.listeners[2].broker.receiveMax, settings.listeners[2].broker.levelsMax) == (2, 3))
        #expect(settings.origins["mqtt.listeners.lan.receive_max"] == .environment(name: "SKERRY_MQTT_LISTENERS_LAN_RECEIVE_MAX"))
        #expect(settings.origins["mqtt.listeners.c.bind"] == .flag(name: "--set"))
    }

    @Test(
        "what is wrong is named with its line",
        arguments: [
            ("mqtt.listeners.lan.receive_max = 5", "/etc/box.conf:1: mqtt.listeners.lan.bind is missing; a listener needs it"),
            ("\nmqtt.listeners.lan.bnd = 5", "/etc/box.conf:2: mqtt.listeners.lan.bnd is not a setting; did you mean mqtt.listeners.lan.bind?"),
            (
                "mqtt.listeners.My-Lan.bind = 5",
                "/etc/box.conf:1: mqtt.listeners.My-Lan.bind is not a setting; the name of a listener has 1 to 32 lower-case letters and digits"
            ),
            (
                "mqtt.listeners.lan.bind = lan:1",
                "/etc/box.conf:1: mqtt.listeners.lan.bind must be ADDRESS:PORT, such as 192.168.1.2:1883 or [fd00::2]:1883, or a port alone; it is 'lan:1'"
            ),
            (
                "mqtt.listeners.lan.bind = 1884\nmqtt.listeners.lan.receive_max = 0",
                "/etc/box.conf:2: mqtt.listeners.lan.receive_max must be a whole number from 1 to 65535; it is '0'"
            ),
            ("mqtt.listeners.lan.bind = 1883", "/etc/box.conf:1: mqtt.listeners.lan.bind and mqtt.port are the same place; give each its own"),
            (
                "mqtt.listeners.a.bind = 10.0.0.1:99\nmqtt.listeners.b.bind = 10.0.0.1:99",
                "/etc/box.conf:2: mqtt.listeners.b.bind and mqtt.listeners.a.bind are the same place; give each its own"
            ),
            (
                "tls.client_authority = /ca\nmqtt.listeners.a.bind = 99\nmqtt.listeners.a.client_certificates = optional",
                "/etc/box.conf:3: mqtt.listeners.a.client_certificates needs TLS; set mqtt.listeners.a.tls = true"
            ),
            (
                "mqtts.client_certificates = required",
                "/etc/box.conf:1: mqtts.client_certificates needs tls.client_authority, the file that says whose certificates are good"
            ),
            ("tls.extra.a.certificate = /a", "/etc/box.conf:1: tls.extra.a.key is missing; a certificate needs it"),
            (
                "proxy.trusted = 10.0.0.1/8",
                "/etc/box.conf:1: proxy.trusted holds '10.0.0.1/8', which is no address and no block such as 10.0.0.0/8 or fd00::/8 (behind the length all bits are 0); it is '10.0.0.1/8'"
            ),
        ])
    func wrong(_ file: String, _ problem: String) { #expect(self.problems(file) == [problem]) }

    @Test("a variable of the environment that is near one is none")
    func wrongVariable() {
        #expect(
            self.problems("", environment: ["SKERRY_MQTT_LISTENERS_LAN_BND": "1"]).first?.contains("SKERRY_MQTT_LISTENERS_LAN_BND is not a setting") == true)
    }

    @Test("places are written as people write them", arguments: ["1884", "10.0.0.1:1884", "[fd00::2]:1884", "[::]:0"])
    func bind(_ text: String) throws {
        let settings = try self.load("mqtt.listeners.lan.bind = \(text)\n")
        #expect(settings.entries.first { $0.key == "mqtt.listeners.lan.bind" }?.value == text)
    }

    @Test("certificates by name, and the proxies that are trusted")
    func certificatesAndProxies() throws {
        let settings = try self.load(
            "tls.extra.chat.certificate = /c.pem\ntls.extra.chat.key = /c.key\nproxy.trusted = 10.0.0.0/8, ::1\ntls.client_name = uri\n")
        #expect(settings.tls.extra == [.init(name: "chat", certificate: "/c.pem", key: "/c.key")])
        #expect(settings.trustedProxies.map(\.description) == ["10.0.0.0/8", "::1/128"])
        #expect(settings.tls.clientNaming == .uri)
    }

    @Test("a comparison says which settings differ, and which of them take effect while the box runs")
    func differences() throws {
        let old = try self.load("mqtt.port = 1\nmqtt.receive_max = 5\nmqtt.listeners.lan.bind = 99\nmqtt.listeners.lan.levels_max = 5\nlog.level = info\n")
        let new = try self.load(
            "mqtt.port = 2\nmqtt.receive_max = 6\nmqtt.listeners.lan.bind = 99\nmqtt.listeners.lan.levels_max = 6\nmqtt.listeners.b.bind = 98\n")
        let differences = old.differences(to: new)
        #expect(Set(differences.filter(\.isLive).map(\.key)) == ["mqtt.receive_max", "mqtt.listeners.lan.levels_max"])
        #expect(Set(differences.filter { !$0.isLive }.map(\.key)) == ["mqtt.port", "mqtt.listeners.b.bind"])
        #expect(Set(new.differences(to: old).map(\.key)) == Set(differences.map(\.key)))
        #expect(old.differences(to: old).isEmpty)
    }

    @Test("the default file shows the form of listeners and certificates, and is itself a settings file")
    func defaultsFile() throws {
        let text = Settings.defaultsFile()
        for words in ["mqtt.listeners.NAME.bind", "tls.extra.NAME.certificate", "proxy.trusted", "drop_oldest"] { #expect(text.contains(words)) }
        #expect(try self.load(text).listeners.isEmpty)
    }
}
