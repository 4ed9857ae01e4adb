import Testing

@testable import Primitives

/// Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018.
struct SeededGeneratorTests {
    static let golden: [(UInt64, [UInt64])] = [
        (0, [0x99EC_5F36_CB75_F2B4, 0xBF6E_1F78_4956_452A, 0x1A5F_849D_4933_E6E0, 0x6AA5_94F1_262D_2D2C]),
        (42, [0x1578_0B2E_0C2E_C716, 0x6104_D986_6D11_3A7E, 0xAE17_5332_39E4_99A1, 0xECB8_AD47_03B3_60A1]),
    ]

    @Test(arguments: SeededGeneratorTests.golden)
    func `a seed that a failure printed gives the same numbers for ever`(seed: UInt64, numbers: [UInt64]) {
        var generator = SeededGenerator(seed: seed)
        let drawn = (0..<4).map { _ in generator.next() }
        #expect(drawn == numbers)
    }

    @Test func `two generators of one seed agree, and of two seeds differ`() {
        let numbers = row(seed: 7)
        #expect(row(seed: 7) == numbers)
        #expect(row(seed: 8) != numbers)
        #expect(Set(numbers).count == 100)
    }

    @Test func `a copy goes on by itself`() {
        var original = SeededGenerator(seed: 1)
        _ = original.next()
        var copy = original
        let first = original.next()
        let repeated = copy.next()
        #expect(repeated == first)
    }

    private func row(seed: UInt64) -> [UInt64] {
        var generator = SeededGenerator(seed: seed)
        return (0..<100).map { _ in generator.next() }
    }
}
