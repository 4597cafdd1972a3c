import MQTTCodec
import MQTTSession
import NIOCore
import SkerryModel
import Testing

@Suite("Connect terms")
struct ConnectTermsTests {
    private func terms(
        _ version: MQTTVersion = .v5, _ limits: SessionLimits = SessionLimits(), _ change: (inout MQTTConnect) -> Void = { _ in }
    )
        throws(ConnectRefusal) -> ConnectTerms
    {
        var connect = MQTTConnect(version: version, clientID: "c")
        change(&connect)
        return try ConnectTerms(connect, limits: limits) { "made" }
    }

    private func reason(_ body: () throws(ConnectRefusal) -> ConnectTerms) -> MQTTReason? {
        do throws(ConnectRefusal) {
            _ = try body()
            return nil
        } catch { return error.reason }
    }

    @Test("session expiry: absent is 0, before version 5 a kept session never ends, and all of it is cut to the box's longest")
    func expiry() throws {
        var limits = SessionLimits()
        limits.sessionSecondsMax = 100
        #expect(try self.terms(.v5, limits).expirySeconds == 0)
        #expect(try self.terms(.v5, limits) { $0.properties.sessionExpiryInterval = 50 }.expirySeconds == 50)
        let cut = try self.terms(.v5, limits) { $0.properties.sessionExpiryInterval = .max }
        #expect(cut.expirySeconds == 100)
        #expect(cut.connack(isSessionPresent: false, limits: limits).properties.sessionExpiryInterval == 100)
        #expect(try self.terms(.v311, limits) { $0.cleanStart = true }.expirySeconds == 0)
        #expect(try self.terms(.v311, limits) { $0.cleanStart = false }.expirySeconds == 100)
    }

    @Test("§3.2.2.3.14: a keep-alive over the box's longest, or none, is told in CONNACK; an earlier client keeps its own")
    func keepAlive() throws {
        var limits = SessionLimits()
        limits.keepAliveSecondsMax = 60
        for asked: UInt16 in [0, 100] {
            let terms = try self.terms(.v5, limits) { $0.keepAliveSeconds = asked }
            #expect(terms.keepAliveSeconds == 60)
            #expect(terms.connack(isSessionPresent: false, limits: limits).properties.serverKeepAlive == 60)
        }
        #expect(try self.terms(.v5, limits) { $0.keepAliveSeconds = 30 }.connack(isSessionPresent: false, limits: limits).properties.serverKeepAlive == nil)
        #expect(try self.terms(.v311, limits) { $0.keepAliveSeconds = 100 }.keepAliveSeconds == 100)
        #expect(try self.terms { $0.keepAliveSeconds = 0 }.keepAliveSeconds == 0)
    }

    @Test("[MQTT-3.1.3-7] the box makes a client id and says which; a kept session of 3.1.1 and any of 3.1 must bring one [MQTT311-3.1.3-8]")
    func clientID() throws {
        let made = try self.terms { $0.clientID = "" }
        #expect(made.clientID == "made")
        #expect(made.connack(isSessionPresent: false, limits: SessionLimits()).properties.assignedClientIdentifier == "made")
        #expect(try self.terms().connack(isSessionPresent: false, limits: SessionLimits()).properties.assignedClientIdentifier == nil)
        #expect(self.reason { () throws(ConnectRefusal) in try self.terms(.v311) { ($0.clientID, $0.cleanStart) = ("", false) } } == .clientIdentifierNotValid)
        #expect(self.reason { () throws(ConnectRefusal) in try self.terms(.v31) { ($0.clientID, $0.cleanStart) = ("", true) } } == .clientIdentifierNotValid)
    }

    @Test("enhanced authentication is refused with 0x8C; limits go into CONNACK; version 3.1.1 has no properties")
    func others() throws {
        #expect(self.reason { () throws(ConnectRefusal) in try self.terms { $0.properties.authenticationMethod = "X" } } == .badAuthenticationMethod)
        let limits = SessionLimits()
        let connack = try self.terms().connack(isSessionPresent: true, limits: limits)
        #expect(connack.isSessionPresent && connack.properties.receiveMaximum == 64 && connack.properties.topicAliasMaximum == 16)
        #expect(connack.properties.maximumPacketSize == 1_048_576)
        #expect(try self.terms(.v311).connack(isSessionPresent: false, limits: limits).properties.isEmpty)
        let terms = try self.terms { $0.properties.receiveMaximum = 1_000 }
        #expect(terms.receiveMaximum == limits.inFlightMax)
    }
}
