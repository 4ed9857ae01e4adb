/// The candidate that `word` was probably meant to be: within a third of its length by insertions, deletions, replacements and
/// swaps of neighbours (optimal string alignment); nil when none is close.
package func suggestion(for word: String, among candidates: some Sequence<String>) -> String? {
    let limit = max(1, word.utf8.count / 3)
    var best: (distance: Int, candidate: String)?
    for candidate in candidates where abs(candidate.utf8.count - word.utf8.count) <= limit {
        let distance = editDistance(Array(word.utf8), Array(candidate.utf8))
        if distance <= limit, distance < best?.distance ?? .max { best = (distance, candidate) }
    }
    return best?.candidate
}

private func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    guard !a.isEmpty, !b.isEmpty, a.count <= 128, b.count <= 128 else { return max(a.count, b.count) }
    var rows = [[Int](repeating: 0, count: b.count + 1), Array(0...b.count), Array(0...b.count)]
    for i in 1...a.count {
        rows[2][0] = i
        for j in 1...b.count {
            let cost = a[i - 1] == b[j - 1] ? 0 : 1
            rows[2][j] = min(rows[1][j] + 1, rows[2][j - 1] + 1, rows[1][j - 1] + cost)
            if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] { rows[2][j] = min(rows[2][j], rows[0][j - 2] + 1) }
        }
        rows = [rows[1], rows[2], rows[0]]
    }
    return rows[1][b.count]
}
