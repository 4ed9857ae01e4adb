import Cluster
import Observability
import Primitives
import Storage
import Transport
import Wire

/// One file of the history from one node.
extension HistoryFetch {
    /// Asks a node for what follows an entry, and takes it in; what is whole of it stays even when it breaks off.
    func file(
        of gap: HistoryGap, after: LogIndex, from node: NodeID, _ tally: inout Tally, _ client: RPCClient, _ work: DiskWork
    ) async throws(Trouble) -> HistoryReadReply {
        guard let address = directory.facts(node)?.address else {
            throw .call(CallError(.unavailable, "where it takes calls is not known"))
        }
        guard let number = history.nextFile(of: gap) else { throw .noNumbers }
        let history = history
        let call = HistoryRead(
            after: after, through: gap.through, notBefore: history.oldestKept,
            limitBytes: UInt32(clamping: min(settings.fileBytes, history.settings.segmentBytes)))
        let incoming = try await disk(work) { () throws(IncomingHistory.Problem) in
            do throws(StorageError) { return try IncomingHistory(history, gap, after: after, number: number) } catch {
                throw .storage(error)
            }
        }
        let reply: HistoryReadReply
        do throws(Trouble) {
            reply = try await receive(call, from: address, into: incoming, client, work)
            guard reply.reached >= after, reply.reached <= gap.through else {
                throw .incoming(.wrong("entries up to \(reply.reached), and was asked for those after \(after) and up to \(gap.through)"))
            }
            try await disk(work) { () throws(IncomingHistory.Problem) in try incoming.finish() }
        } catch {
            try? await work.run { () throws(StorageError) in try incoming.breakOff() }
            count(incoming, node, &tally)
            throw error
        }
        count(incoming, node, &tally)
        tally.unreadableBytes += reply.unreadableBytes
        tally.oldest = reply.oldest
        return reply
    }

    private func count(_ incoming: IncomingHistory, _ node: NodeID, _ tally: inout Tally) {
        guard incoming.movedRecords > 0 else { return }
        records.increment(by: incoming.movedRecords)
        tally.records += incoming.movedRecords
        tally.bytes += incoming.movedBytes
        if !tally.nodes.contains(node) { tally.nodes.append(node) }
    }

    private func receive(
        _ call: HistoryRead, from address: PeerAddress, into incoming: IncomingHistory, _ client: RPCClient, _ work: DiskWork
    ) async throws(Trouble) -> HistoryReadReply {
        let stream = try await asking { () async throws(CallError) in
            try await client.stream(call, to: address, timeout: settings.timeout)
        }
        var due = telemetry.clock.now
        while let piece = try await asking({ () async throws(CallError) in try await stream.next() }) {
            bytes.increment(by: piece.count)
            try await disk(work) { () throws(IncomingHistory.Problem) in try incoming.take(piece) }
            due = max(due, telemetry.clock.now).advanced(by: .nanoseconds(piece.count * 1_000_000_000 / settings.bytesPerSecond))
            // Cancelled, it finds that out with the next piece.
            try? await Task.sleep(for: max(.zero, due.duration(since: telemetry.clock.now)))
        }
        return try await asking { () async throws(CallError) in try await stream.reply() }
    }

    private func asking<T>(_ body: () async throws(CallError) -> T) async throws(Trouble) -> T {
        do throws(CallError) { return try await body() } catch { throw .call(error) }
    }

    private func disk<T: Sendable>(
        _ work: DiskWork, _ body: @escaping @Sendable () throws(IncomingHistory.Problem) -> T
    ) async throws(Trouble) -> T {
        let result: Result<T, IncomingHistory.Problem>
        do throws(StorageError) {
            result = try await work.run { () throws(StorageError) in
                do throws(IncomingHistory.Problem) { return .success(try body()) } catch { return .failure(error) }
            }
        } catch {
            throw .incoming(.storage(error))
        }
        do throws(IncomingHistory.Problem) { return try result.get() } catch { throw .incoming(error) }
    }
}
