extension RaftScript {
    /// Every verb, a line each.
    package static let help = """
        A script is blocks: commands, a line '----', what they print, an empty line. A line that begins with '#' is a comment.
        An unknown word, a server that is not there or a number out of range prints an error with its line, and ends the block.
        A line '!! ...' tells of something that must never be: two leaders of a term, a promise that is not on disk, a stale read.

        Beginning
          cluster N... [learners=N,N] [spare=N,N] [OPTIONS]   a new cluster of voters; spare servers belong to no configuration yet
            OPTIONS: election=500-1000 heartbeat=50 (ms)  lease  no-pre-vote  no-check-quorum  tail=0 (entries kept behind a snapshot)
                     keep=BYTES (entries in memory)  append=BYTES (of a message)  in-flight=MESSAGES  uncommitted=BYTES  pending-reads=COUNT
          log N terms=1,1,2 [vote=N] [term=3] [base=2]        a start state: entries of these terms, those up to 2 behind a snapshot
          quiet | loud                                        to the block's end only errors, '!!' and answers to questions are printed
          help                                                this text

        Asking
          state [N]      role, term, vote, leader, commit, last (index@term), durable, configuration
          log [N]        the entries, with a '?' before those that are not applied
          commit [N]     commit and applied index
          progress N     what a leader knows of the others
          agree          whether all that are up have one log, committed to its end, and trust it
          messages       those under way, oldest first
          reads          what became of every read

        Requests
          propose N TEXT
          fill N COUNT [bytes=1]          proposes so many entries
          read N ID
          change N voters=N,N [learners=N,N] [based=INDEX]
          transfer N [N]                  without a target: to whoever has most
          snapshot N [chunks=1]           of all that is applied
          campaign N                      lets its election timer run out

        Time (milliseconds)
          tick N MS         time passes, and only N's timers act; the others' are late
          advance MS        time passes and everybody's timers act; no message moves
          run MS            the same, and every message arrives at once
          clock N PERCENT   how fast its clock runs from now on
          pause N           neither timers nor messages reach it; 'resume N' ends that

        Messages
          KIND is one of: pre-vote pre-vote-reply vote vote-reply append heartbeat append-reply snapshot snapshot-reply timeout-now
          read-index read-index-reply. LINK is N->N, with a star for any server.
          deliver [LINK] [KIND] [COUNT]     those that are under way now, each printed
          stabilize [MAX]                   delivers until nothing is under way that may go on
          drop [LINK] [KIND] [COUNT]
          duplicate [LINK] [KIND] [COUNT]   copies go to the end
          hold [LINK] [KIND] [COUNT]        they wait, also those to come; with a count: only so many of those under way
          release [LINK] [KIND]
          cut N [N] [one-way]               one server from all, or a link (one way: from the first); what is under way on it is lost
          heal [N N]

        Disks and processes
          stall N                   its writes wait from now on
          store N [all|COUNT]       the oldest become durable
          unstall N                 all do, and from now on at once
          crash N [lose=COUNT]      the newest COUNT of the waiting writes are lost; without it, all of them
          restart N [lost-vote | damaged=INDEX | wiped]
          spoil N                   the next snapshot that it gets is damaged
          unreadable N              the snapshots that it is sending cannot be read any more
          close N N                 the first one's connection is closed by the second one's end
          unreachable N N           the first could not send to the second
        """
}
