import Crypto

/// A key as six words that two people can compare over the phone: 48 bits of its SHA-256.
package enum FingerprintWords {
    package static let count = 6

    /// - Parameter publicKey: DER SubjectPublicKeyInfo.
    package static func text(publicKey: [UInt8]) -> String {
        // Not the bytes of the box id: whoever finds a key with a like id has not found one with like words.
        var hash = SHA256()
        hash.update(data: Array("skerry-words".utf8))
        hash.update(data: publicKey)
        return hash.finalize().prefix(Self.count).map { Self.word($0) }.joined(separator: " ")
    }

    private static func word(_ number: UInt8) -> String { Int(number) < Self.list.count ? Self.list[Int(number)] : "" }

    /// 256 short words that do not sound alike.
    static let list: [String] = Self.words.split(whereSeparator: { $0 == " " || $0 == "\n" }).map { String($0) }

    private static let words = """
        acorn album anchor ankle apple apron arch arrow atlas autumn badge bagel bamboo banjo barrel basil basket beacon beard beaver bell
        berry bicycle bishop blanket blossom bottle boulder bracelet branch bread bridge broom bucket buffalo butter button cabin cactus
        camel candle canoe canyon carbon carpet carrot castle cedar cello cherry chess chimney cider circus clover cobalt coconut comet
        compass copper coral cotton cousin coyote cradle crater cricket crystal cup curtain cypress daisy dancer desert diamond dinner
        dolphin donkey dragon drum eagle echo elbow elephant ember engine falcon feather fiddle finger flame flute forest fossil fountain
        foxglove frost galaxy garden garlic ghost giraffe glacier glove goblin gold granite grape gravel guitar hammer harbor harvest
        hazel helmet heron hickory honey horizon hornet hotel iceberg indigo ink iron island ivory jacket jaguar jasmine jelly jigsaw
        jungle kangaroo kayak kettle kitten ladder lagoon lantern laurel lemon lettuce lighthouse lion lobster lotus magnet maple marble
        meadow melon mermaid meteor mirror monkey moon mosaic mountain muffin mushroom napkin nectar needle nickel noodle nutmeg oak oasis
        ocean olive onion opal orange orchid otter oyster paddle palace panda papaya parrot peanut pebble pelican pencil pepper piano
        pigeon pillow pirate pizza planet plum pocket pony poppy potato prairie pumpkin puzzle quartz quilt rabbit radish raven ribbon
        river robot rocket rose ruby saddle saffron salmon sandal satin scarf shadow sheep silver skate spider spoon squirrel sugar sunset
        table tango teapot thunder tiger tomato tractor trumpet tulip turtle umbrella valley vanilla velvet village violin volcano waffle
        walnut walrus whale willow window winter wizard yacht yogurt zebra zigzag
        """
}
