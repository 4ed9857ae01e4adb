package import Primitives
import Text

/// Orders, payments and sensor readings as a shop and a plant would send them: the same seed gives the same messages.
package struct ExampleMessages {
    private var generator: SeededGenerator

    package init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    /// One JSON object a line.
    package func lines(_ count: Int) -> String {
        var copy = self
        return (1...max(1, count)).map { JSONWriter.text(copy.message($0)) + "\n" }.joined()
    }

    package mutating func message(_ number: Int) -> Value {
        let time = ClusterTime(milliseconds: 1_790_000_000_000 + UInt64(number) * 730)
        let body: (type: String, source: String, data: Value) =
            switch Int.random(in: 0..<10, using: &generator) {
            case 0..<4: ("order.created", "/shop/web", order(number))
            case 4..<7: ("payment.received", "/shop/payments", payment(number))
            default: ("sensor.reading", "/plant/hall-\(Int.random(in: 1...3, using: &generator))", reading())
            }
        return [
            "id": .string("example-\(number)"), "source": .string(body.source), "type": .string(body.type), "time": .string(time.rfc3339),
            "data": body.data,
        ]
    }

    private mutating func order(_ number: Int) -> Value {
        let sku = ["TEA-100", "MUG-2", "POT-7", "TIN-40", "BAG-9"].randomElement(using: &generator) ?? "TEA-100"
        let quantity = Int.random(in: 1...6, using: &generator)
        return [
            "orderId": .string("o-\(10_000 + number)"), "customer": .string("c-\(Int.random(in: 1...200, using: &generator))"),
            "sku": .string(sku),
            "quantity": Value(quantity), "total": .double(Double(quantity * Int.random(in: 450...2_900, using: &generator)) / 100),
        ]
    }

    private mutating func payment(_ number: Int) -> Value {
        let isLarge = Int.random(in: 0..<4, using: &generator) == 0
        return [
            "paymentId": .string("p-\(10_000 + number)"),
            "amount": .double(Double(Int.random(in: isLarge ? 80_000...900_000 : 500...40_000, using: &generator)) / 100),
            "currency": "EUR", "country": .string(["NO", "SE", "DK", "DE", "FR", "NL"].randomElement(using: &generator) ?? "NO"),
            "channel": .string(["web", "app", "branch"].randomElement(using: &generator) ?? "web"),
            "card": .string((Bool.random(using: &generator) ? "gc-" : "vi-") + String(Int.random(in: 1000...9999, using: &generator))),
        ]
    }

    private mutating func reading() -> Value {
        let device =
            (["pump-", "fan-", "press-"].randomElement(using: &generator) ?? "pump-") + String(Int.random(in: 1...40, using: &generator))
        var fields = Fields([.init("device", .string(device))])
        guard Int.random(in: 0..<25, using: &generator) > 0 else { return .map(fields) }
        let celsius = Double(Int.random(in: 300...950, using: &generator)) / 10
        fields["celsius"] = .double(celsius)
        let lines = (0..<5).map { _ in String(Int(celsius) + Int.random(in: -9...9, using: &generator)) }
        fields["readings"] = .string(lines.joined(separator: "\n") + "\n")
        return .map(fields)
    }
}
