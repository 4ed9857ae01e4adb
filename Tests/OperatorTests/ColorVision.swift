import Foundation

/// What eyes see of a colour when one kind of cone is missing (Machado, Oliveira and Fernandes 2009, severity 1), and how far two
/// colours then stand apart in CIELAB (CIE 1976; 2 is just noticeable).
enum ColorVision: CaseIterable, Sendable {
    case normal, protanopia, deuteranopia, tritanopia

    func distance(_ one: UInt32, _ other: UInt32) -> Double {
        zip(lab(one), lab(other)).map { ($0 - $1) * ($0 - $1) }.reduce(0, +).squareRoot()
    }

    /// On linear red, green and blue.
    private var matrix: [[Double]] {
        switch self {
        case .normal: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
        case .protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
        case .deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
        case .tritanopia: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
        }
    }

    private func seen(_ hex: UInt32) -> [Double] {
        let levels: [UInt32] = [hex >> 16 & 255, hex >> 8 & 255, hex & 255]
        let light = levels.map { Self.linear(Double($0) / 255) }
        return matrix.map { min(1, max(0, Self.product($0, light))) }
    }

    private func lab(_ hex: UInt32) -> [Double] {
        let light = seen(hex)
        let x = Self.root(Self.product([0.4124564, 0.3575761, 0.1804375], light) / 0.95047)
        let y = Self.root(Self.product([0.2126729, 0.7151522, 0.0721750], light))
        let z = Self.root(Self.product([0.0193339, 0.1191920, 0.9503041], light) / 1.08883)
        return [116 * y - 16, 500 * (x - y), 200 * (y - z)]
    }

    private static func product(_ row: [Double], _ column: [Double]) -> Double { zip(row, column).map { $0 * $1 }.reduce(0, +) }

    private static func root(_ t: Double) -> Double { t > 216.0 / 24389 ? cbrt(t) : (24389.0 / 27 * t + 16) / 116 }

    private static func linear(_ level: Double) -> Double { level <= 0.04045 ? level / 12.92 : pow((level + 0.055) / 1.055, 2.4) }
}
