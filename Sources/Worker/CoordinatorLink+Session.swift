import Cluster
import NIOCore
import Observability
import Primitives
import Synchronization
import Transport
import Wire

/// One attachment to a leader in another process, from its first call to its end.
extension CoordinatorLink {
    /// Far longer than one lasts; it ends with its connection.
    private static let streamTimeout = Duration.seconds(86_400)
    private static let callTimeout = Duration.seconds(10)
    /// For the leader to say what it believes to be here.
    private static let greeting = Duration.seconds(5)

    /// Attaches, and serves until it ends; says why it did.
    func attach(to address: PeerAddress) async -> CallError {
        var call = WorkerAttach()
        (call.worker, call.epoch, call.labels) = (runner.node, epoch, settings.labels)
        (call.slots, call.light) = (UInt32(clamping: runner.capacity.slots), UInt32(clamping: runner.capacity.light))
        (call.kinds, call.running, call.isCordoned) = (runner.kinds, runner.runningFences, runner.isCordoned)
        let sentAt = telemetry.clock.now
        do throws(CallError) {
            let stream = try await client.stream(call, to: address, timeout: Self.streamTimeout)
            return await serve(stream, address, since: sentAt)
        } catch {
            return error
        }
    }

    private func serve(_ stream: RPCStream<LeaseTerms>, _ address: PeerAddress, since sentAt: Instant) async -> CallError {
        let outbox = ReportOutbox(runner: runner)
        let (wakes, wake) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        return await withTaskGroup(of: CallError.self) { group in
            group.addTask { await self.takeOrders(stream, address, wake, since: sentAt) }
            group.addTask { await self.renew(at: address) }
            group.addTask { await self.send(from: outbox, to: address, wakes, wake) }
            let first = await group.next() ?? CallError(.cancelled, "the worker stops")
            group.cancelAll()
            wake.finish()
            if case .attached = condition { noteDetached(address, first) }
            return first
        }
    }

    // MARK: Orders

    private func takeOrders(
        _ stream: RPCStream<LeaseTerms>, _ address: PeerAddress, _ wake: AsyncStream<Void>.Continuation, since sentAt: Instant
    ) async -> CallError {
        var decoder = FrameDecoder()
        do throws(CallError) {
            while let piece = try await stream.next() {
                decoder.append(ByteBuffer(bytes: piece))
                do throws(WireError) {
                    while let frame = try decoder.next() {
                        // Whoever gave it believes by now that this worker is gone, or soon will: it may begin elsewhere.
                        if frame.header.type == .taskAssignment, isLeaseOver(since: sentAt) {
                            return CallError(.unavailable, "an assignment of \(address) came when the lease was over: attaching anew")
                        }
                        if let error = try take(frame, address, wake, since: sentAt) { return error }
                    }
                } catch {
                    throw CallError(.protocolViolation, "orders of \(address) cannot be read: \(error)")
                }
            }
            _ = try await stream.reply()
            return CallError(.unavailable, "\(address) ended the attachment")
        } catch {
            return error
        }
    }

    private func take(_ frame: Frame, _ address: PeerAddress, _ wake: AsyncStream<Void>.Continuation, since sentAt: Instant)
        throws(WireError) -> CallError?
    {
        switch frame.header.type {
        case .leaseTerms: return take(try LeaseTerms.decode(frame.payload), address, wake, since: sentAt)
        case .taskAssignment: runner.assign([try TaskAssignment.decode(frame.payload)])
        case .taskCancel:
            let call = try TaskCancel.decode(frame.payload)
            runner.cancel(HeldAssignment(run: call.run, task: call.task, attempt: 0, fence: call.fence))
        // Of a later version.
        default: break
        }
        return nil
    }

    private func take(
        _ terms: LeaseTerms, _ address: PeerAddress, _ wake: AsyncStream<Void>.Continuation, since sentAt: Instant
    ) -> CallError? {
        let term = terms.term.map { Term($0) } ?? runner.latestTerm
        guard runner.follows(term) else {
            return CallError(
                .unavailable, "\(address) leads in term \(term), and term \(runner.latestTerm) has a leader: looking for that one")
        }
        if let flag = terms.isCordoned { runner.cordon(flag) }
        if let limit = terms.drainMilliseconds, terms.isCordoned != false { runner.drain(within: .milliseconds(Int64(clamping: limit))) }
        if terms.isCordoned != nil || terms.drainMilliseconds != nil { renewSoon() }
        guard terms.isComplete else { return nil }
        let isNew = state.withLock { state in
            state.search.note(coordinators: terms.coordinators)
            state.urls = terms.coordinatorURLs
            if terms.leaseMilliseconds > 0 { state.lease = .milliseconds(Int64(clamping: terms.leaseMilliseconds)) }
            // A lease is counted from when it was asked for: the leader counts from when it heard that.
            state.confirmedAt = max(state.confirmedAt ?? sentAt, sentAt)
            state.wake = wake
            state.address = address
            defer { state.condition = .attached(to: address.description) }
            if case .attached = state.condition { return false }
            return true
        }
        _ = runner.reconcile(terms.held.map { HeldAssignment($0) }, term: term)
        wake.yield()
        guard isNew else { return nil }
        metrics.attached.set(1)
        metrics.attaches.increment()
        telemetry.health.set("worker", .up)
        telemetry.events.emit(
            "worker.attached", subject: runner.node.text,
            "worker \(runner.node) is with the leader at \(address), which has \(terms.held.count) attempts with it")
        return nil
    }

    private func noteDetached(_ address: PeerAddress, _ error: CallError) {
        metrics.detaches.increment()
        telemetry.events.emit(
            "worker.detached", subject: runner.node.text, severity: .warning,
            "worker \(runner.node) lost the leader at \(address), and looks for the next: \(error)")
    }

    // MARK: The lease

    /// - Parameter sentAt: when this attachment was asked for.
    private func isLeaseOver(since sentAt: Instant) -> Bool {
        let now = telemetry.clock.now
        return state.withLock { now.duration(since: max($0.confirmedAt ?? sentAt, sentAt)) >= allowed($0.lease) }
    }

    private func renew(at address: PeerAddress) async -> CallError {
        if let error = await greeted(by: address) { return error }
        var failures = 0
        while true {
            let lease = state.withLock { $0.lease }
            await rest(for: lease / 3)
            guard !Task.isCancelled else { return CallError(.cancelled, "the worker stops") }
            let sentAt = telemetry.clock.now
            do throws(CallError) {
                let answer = try await client.call(renewal, to: address, timeout: lease / 3)
                failures = 0
                metrics.renewals.increment()
                state.withLock { state in
                    state.confirmedAt = sentAt
                    if let lease = answer.leaseMilliseconds, lease > 0 { state.lease = .milliseconds(Int64(clamping: lease)) }
                }
            } catch {
                metrics.renewalFailures.increment()
                failures += 1
                // One that answers, and knows nothing of this worker; or one that does not answer.
                guard failures < 2, error.code == .busy || error.code == .deadlineExceeded else { return error }
            }
        }
    }

    /// Until the next renewal is due, or there is something that the leader should hear of.
    private func rest(for pause: Duration) async {
        let rest = Task { _ = try? await Task.sleep(for: runner.draining == nil ? pause : min(pause, .seconds(1))) }
        state.withLock { $0.rest = rest }
        await withTaskCancellationHandler {
            await rest.value
        } onCancel: {
            rest.cancel()
        }
    }

    /// Waits until the leader has said how long its lease is, for a while.
    private func greeted(by address: PeerAddress) async -> CallError? {
        let end = telemetry.clock.now.advanced(by: Self.greeting)
        while telemetry.clock.now < end {
            if case .attached = condition { return nil }
            guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { return CallError(.cancelled, "the worker stops") }
        }
        return CallError(.unavailable, "\(address) took the worker and told it nothing")
    }

    /// The last word of one that stops: with it the leader knows that nothing was begun which it has not heard of. Without anything to report, and for a moment only.
    package func sayGoodbye() async {
        let end = telemetry.clock.now.advanced(by: Self.parting)
        while telemetry.clock.now < end, here?.isLeading() != true {
            if runner.hasNothing, let address = state.withLock({ $0.address }) {
                var call = renewal
                call.isLeaving = true
                do throws(CallError) {
                    _ = try await client.call(call, to: address, timeout: Self.parting)
                    return
                } catch {
                    telemetry.warn("worker", "the leader was not told that this worker stops: \(error)")
                }
            }
            guard (try? await Task.sleep(for: .milliseconds(20))) != nil else { return }
        }
    }

    private static let parting = Duration.seconds(1)

    private var renewal: LeaseRenew {
        var call = LeaseRenew()
        (call.worker, call.epoch, call.fences) = (runner.node, epoch, runner.runningFences)
        (call.freeSlots, call.isCordoned) = (UInt32(clamping: runner.freeSlots), runner.isCordoned)
        call.load = runner.room?.load ?? 0
        call.wallMilliseconds = telemetry.clock.wall.milliseconds
        if let drain = runner.draining {
            call.drainLeftMilliseconds = UInt64(clamping: drain.left.milliseconds)
            (call.drainFinished, call.drainGivenBack) = (UInt32(clamping: drain.finished), UInt32(clamping: drain.givenBack))
        }
        return call
    }

    // MARK: Reports

    private func send(
        from outbox: ReportOutbox, to address: PeerAddress, _ wakes: AsyncStream<Void>, _ wake: AsyncStream<Void>.Continuation
    ) async -> CallError {
        await withDiscardingTaskGroup { group in
            for await _ in wakes {
                guard outbox.failure == nil else { break }
                while let batch = outbox.take() {
                    group.addTask {
                        do throws(CallError) {
                            try await self.send(batch, to: address)
                            outbox.done(batch)
                        } catch {
                            outbox.done(batch, error)
                        }
                        wake.yield()
                    }
                }
            }
            group.cancelAll()
        }
        return outbox.failure ?? CallError(.cancelled, "the worker stops")
    }

    /// Returns when it is in the log, or is to be sent again.
    private func send(_ batch: ReportOutbox.Batch, to address: PeerAddress) async throws(CallError) {
        do throws(CallError) {
            let statuses: [TaskStatus]
            switch batch {
            case .results(let reports):
                var call = TaskResults()
                (call.worker, call.epoch, call.results) = (runner.node, epoch, reports)
                statuses = try await client.call(call, to: address, timeout: Self.callTimeout).statuses
                metrics.sent.increment(by: reports.count)
            case .refusal(let report, let code):
                var call = Refusal()
                (call.run, call.task, call.fence, call.code) = (report.run, report.task, report.fence, code)
                call.message = code == "draining" ? "worker \(runner.node) stops" : "all slots of \(runner.node) are taken"
                call.freeSlots = UInt32(clamping: runner.freeSlots)
                statuses = [try await client.call(call, to: address, timeout: Self.callTimeout)]
                metrics.refusals.increment()
            }
            let late = statuses.count { !$0.isAccepted }
            metrics.stale.increment(by: late)
            // Also what came too late: nobody will ever take it.
            let answered = Set(statuses.map(\.fence))
            runner.committed(batch.reports.filter { answered.contains($0.fence) })
        } catch {
            switch error.code {
            case .busy, .deadlineExceeded, .tooLarge:
                try? await Task.sleep(for: max(.milliseconds(50), min(error.retryAfter ?? .milliseconds(200), .seconds(5))))
            default: throw error
            }
        }
    }
}
