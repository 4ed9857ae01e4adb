import Cluster
import Observability
import Primitives
import Synchronization
import Transport
import Wire

/// One batch, from the first time that it is sent until it is answered.
extension IntakeForwarder {
    private static let pause = Duration.milliseconds(25)
    /// For one try. A leader that is stopped answers nothing: who succeeds it is looked for meanwhile.
    private static let patience = Duration.seconds(5)
    private static let look = Duration.milliseconds(50)
    /// Batches that were sent again are told of so seldom.
    private static let telling = Duration.seconds(5)

    /// What became of a batch.
    private enum Ending {
        case replied(ForwardMessagesReply)
        case refused(String)
        case unanswered(String)
    }

    func deliver(_ batch: [Item], _ client: RPCClient) async {
        let sequence = sessions.begin()
        defer { sessions.end(sequence) }
        let began = telemetry.clock.now
        let spans = batch.map { telemetry.spans.begin("intake.forward", service: "coordinator", in: $0.trace) }
        let call = ForwardedBatch.call(batch.map(\.submission), traces: spans.map { $0?.context }, time: telemetry.clock.wall)
        var (tries, isUncertain) = (0, false)
        let ending = await send(call, batch, sequence, client, &tries, &isUncertain)
        let took = telemetry.clock.now.duration(since: began)
        metrics.duration.observe(took)
        for span in spans { telemetry.spans.end(span, ["batch": Value(batch.count), "tries": Value(tries)]) }
        switch ending {
        case .replied(let reply):
            metrics.answered.increment()
            for (item, result) in zip(batch, reply.results) {
                metrics.note(result)
                item.answer(.answered(ForwardedBatch.answer(result)))
            }
            if tries > 1 { tell(batch.count, tries, took) }
        case .refused(let why) where !isUncertain:
            metrics.refused.increment()
            for item in batch { item.answer(.answered(.busy(why))) }
        case .refused(let why), .unanswered(let why):
            (isUncertain ? metrics.uncertain : metrics.refused).increment()
            for item in batch { item.answer(.unanswered(why, isUncertain: isUncertain)) }
        }
    }

    private func send(
        _ call: ForwardMessages, _ batch: [Item], _ sequence: UInt64, _ client: RPCClient, _ tries: inout Int, _ isUncertain: inout Bool
    ) async -> Ending {
        var call = call
        var why = "no coordinator leads; send it again in a second"
        let deadline = batch.map(\.deadline).max() ?? telemetry.clock.now
        while true {
            expire(batch, isUncertain: isUncertain)
            let left = deadline.duration(since: telemetry.clock.now)
            guard left > .zero, !Task.isCancelled else { return .unanswered(why) }
            guard let leader = raft.leader, leader != raft.node, let address = directory.facts(leader)?.address else {
                // Its messages are planned here, by who waits for them.
                if raft.leader == raft.node { return .unanswered("this node leads by now") }
                guard (try? await Task.sleep(for: Self.pause)) != nil else { return .unanswered(why) }
                continue
            }
            if tries > 0 { metrics.retries.increment() }
            tries += 1
            call.answered = sessions.answered
            do throws(CallError) {
                let reply = try await ask(call, batch, sequence, leader, address, min(left, Self.patience), client)
                guard reply.results.count == batch.count else {
                    throw CallError(.protocolViolation, "\(reply.results.count) results for \(batch.count) messages", isUncertain: true)
                }
                return .replied(reply)
            } catch {
                isUncertain = isUncertain || error.isUncertain
                why = "leader '\(leader)': \(error.message)"
                switch error.code {
                case .unimplemented:
                    noteDeaf(leader)
                    return .refused("\(why); send it again")
                case .busy, .tooLarge, .invalid, .denied, .unsupportedVersion, .wrongCluster: return .refused(why)
                case .internal, .deadlineExceeded, .cancelled, .unavailable, .notLeader, .notFound, .tooManyConnections,
                    .protocolViolation, .draining:
                    break
                }
                guard (try? await Task.sleep(for: Self.pause)) != nil else { return .unanswered(why) }
            }
        }
    }

    /// One try; given up when another node leads, though this one has not answered.
    private func ask(
        _ call: ForwardMessages, _ batch: [Item], _ sequence: UInt64, _ leader: NodeID, _ address: PeerAddress, _ patience: Duration,
        _ client: RPCClient
    ) async throws(CallError) -> ForwardMessagesReply {
        let attached = FrameExtension(trace: nil, session: sessions.session, sequence: sequence)
        let raft = raft
        let result = await withTaskGroup(of: Result<ForwardMessagesReply, CallError>.self) { group in
            group.addTask {
                do throws(CallError) {
                    return .success(try await client.call(call, to: address, timeout: patience, attached: attached))
                } catch { return .failure(error) }
            }
            group.addTask {
                while (try? await Task.sleep(for: Self.look)) != nil {
                    self.expire(batch, isUncertain: true)
                    guard let now = raft.leader, now != leader else { continue }
                    return .failure(CallError(.unavailable, "'\(now)' leads by now", isUncertain: true))
                }
                return .failure(CallError(.cancelled, "this node is stopping", isUncertain: true))
            }
            let first = await group.next()
            group.cancelAll()
            return first ?? .failure(CallError(.cancelled, "this node is stopping", isUncertain: true))
        }
        return try result.get()
    }

    /// Those of the batch whose time is over wait no longer for the others.
    private func expire(_ batch: [Item], isUncertain: Bool) {
        let now = telemetry.clock.now
        for item in batch where item.deadline <= now {
            item.answer(.unanswered("the leader has not answered in time; send it again under the same id", isUncertain: isUncertain))
        }
    }

    private func tell(_ count: Int, _ tries: Int, _ took: Duration) {
        let now = telemetry.clock.now
        let isNew = resent.withLock { told in
            guard told.map({ now.duration(since: $0) >= Self.telling }) ?? true else { return false }
            told = now
            return true
        }
        guard isNew else { return }
        telemetry.events.emit(
            "intake.resent", subject: telemetry.node.text,
            "\(count) messages were sent to the leader \(tries) times until they were answered, which took \(took.milliseconds) ms")
    }
}
