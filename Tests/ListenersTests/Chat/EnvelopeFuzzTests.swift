import NIOCore
import NIOEmbedded
import SkerryModel
import SkerryNode
import TestKit
import Testing

@testable import Listeners

@Suite(.timeLimit(.minutes(1))) struct EnvelopeFuzzTests {
    private static let templates = [
        #"{"t":"ping","id":1}"#, #"{"t":"sync","id":2,"d":{"since":"x","limit":10}}"#, #"{"t":"history","id":3,"d":{"conv":"@bob","limit":5}}"#,
        #"{"t":"send","id":4,"d":{"conv":"@bob","cid":"c1","kind":"text","text":"hello"}}"#,
        #"{"t":"create","id":5,"d":{"type":"group","title":"x","members":["@bob"],"cid":"g"}}"#,
        #"{"t":"react","id":6,"d":{"mid":"00000000000000000000000000","emoji":"x","on":true}}"#, #"{"t":"receipt","id":7,"d":{"conv":"@bob","read":"0"}}"#,
        #"{"t":"presence","id":8,"d":{"users":["@bob","@carol"]}}"#, #"{"t":"typing","id":9,"d":{"conv":"@bob"}}"#,
        #"{"t":"send","id":10,"d":{"conv":"@bob","cid":"c2","kind":"location","lat":1.5,"lon":-2e3}}"#, #"{"t":"users","id":11,"d":{"q":"b","after":"x"}}"#,
    ]

    private static func damaged(_ text: String, _ random: inout SeededRandom) -> String {
        var characters = Array(text)
        let alphabet = Array(#"{}[]":,\0123456789-+.eEtrufalsn在 "#)
        for _ in 0..<Int.random(in: 0...4, using: &random) where !characters.isEmpty {
            let index = Int.random(in: 0..<characters.count, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: characters.remove(at: index)
            case 1: characters.insert(random.pick(alphabet) ?? " ", at: index)
            case 2: characters[index] = random.pick(alphabet) ?? " "
            default: characters.insert(contentsOf: characters[index..<min(characters.count, index + 10)], at: index)
            }
        }
        return String(characters)
    }

    @Test(
        "every frame, however damaged, is answered once, until ten bad ones in a row end the connection", arguments: [1, 2, UInt64.random(in: 0...UInt64.max)])
    func fuzz(_ seed: UInt64) async throws {
        var random = SeededRandom(seed: seed)
        let world = ChatWorld()
        let alice = try await world.person("alice")
        _ = try await world.person("bob")
        var client = try await world.connect(as: alice.token)
        var badInRow = 0
        for round in 0..<300 {
            try await client.say(Self.damaged(random.pick(Self.templates) ?? "", &random))
            let frames = await client.heard()
            let answers = frames.filter { $0.first == 0x81 && !$0.text.hasPrefix("{\"t\":") }
            #expect(answers.count == 1, "seed \(seed), round \(round)")
            badInRow = answers.first?.text.hasPrefix("{\"error\":") == true && answers.first?.text.contains("\"bad_request\"") == true ? badInRow + 1 : 0
            if frames.last?.closeCode == 4400 {
                #expect(badInRow >= world.node.limits.badFramesMax, "seed \(seed), round \(round)")
                client = try await world.connect(as: alice.token)
                badInRow = 0
            }
        }
        #expect(client.channel.isActive)
    }
}
