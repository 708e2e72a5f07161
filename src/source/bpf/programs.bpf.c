// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

// The programs. Programs::prepare() makes tp_btf programs of those in sections knell_tp/NAME, and a
// socket filter of the one in knell_filter. Each program is attached only while events of its types
// are wanted. So a program first tests whether the event is wanted.
//
// An exit takes two records. on_exit() runs when the last thread of a process begins to exit, and
// sends the details. They can still be read then, but the process still has its memory, its files
// and its locks. on_signal() runs when the process has released all these and sends its parent the
// signal of its exit. It sends the mark, and the reader reports the exit when it receives the mark.
// For an exit without details, the mark is enough. If no signal will be sent, the details have the
// flag NO_MARK, and the reader checks when the process has ended.
#include "details.bpf.inc"
#include "interest.bpf.inc"
#include "levels.bpf.inc"
#include "signals.bpf.inc"

// Sends a record. The stamp is taken last, so that the record gets its room in the ring soon after
// its stamp: the reader orders the stream by the stamps. Returns 0, or an error if the ring is
// full.
static __always_inline long send(void* ring, struct knell_scratch* scratch, __u32 tail,
                                 __u64 lost) {
  asm volatile("%0 &= 16383" : "+r"(tail));
  scratch->process.head.lost = lost;
  scratch->process.head.stamp_ns = bpf_ktime_get_ns();
  return bpf_ringbuf_output(ring, scratch, sizeof scratch->process + tail, 0);
}

static __always_inline int status_of(const struct task_struct* leader,
                                     const struct signal_struct* signal) {
  return signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : leader->exit_code;
}

static __always_inline bool last_of_process(struct task_struct* leader,
                                            const struct signal_struct* signal, const __u64* ctx) {
  if (dying_readable) return ctx[1] != 0;
  if (signal->live.counter != 0) return false;
  if (signal->nr_threads == 1) return true;
  // Two threads that exit together both see no live thread. The first one that adds the entry
  // counts. If the other one comes when the first is already released, both count, and the reader
  // drops the second record.
  const __u32 one = 1;
  struct knell_life life = {.pid = leader->tgid, .start_ns = leader->start_boottime};
  return bpf_map_update_elem(&ended, &life, &one, BPF_NOEXIST) == 0;
}

static __always_inline void fill_mark(struct knell_mark* mark, struct task_struct* leader,
                                      const struct task_struct* parent, __u32 uid, int status,
                                      __u64 bits) {
  __builtin_memset(mark, 0, sizeof *mark);
  mark->head.kind = KNELL_RECORD_MARK;
  mark->start_ns = leader->start_boottime;
  mark->roots = bits;
  mark->pid = leader->tgid;
  mark->status = status;
  mark->signal = leader->exit_signal;
  mark->ppid = parent->tgid;
  mark->uid = uid;
  mark->head.lost = losses.exits;
  mark->head.stamp_ns = bpf_ktime_get_ns();
}

// Stores a mark that does not fit in the ring of exits: uses the reserve, otherwise the map
// `unsent`, otherwise counts the exit as lost.
static __always_inline void reserve_mark(struct knell_mark* mark) {
  mark->head.stamp_ns = bpf_ktime_get_ns();
  if (bpf_ringbuf_output(&reserve, mark, sizeof *mark, 0) == 0) return;
  struct knell_life life = {.pid = mark->pid, .start_ns = mark->start_ns};
  mark->head.stamp_ns = bpf_ktime_get_ns();
  const bool kept = bpf_map_update_elem(&unsent, &life, mark, BPF_ANY) == 0;
  __sync_fetch_and_add(kept ? &losses.unsent : &losses.exits, 1);
}

// Whether the signal on which the mark is sent may be missing, although the parent does not ignore
// it now: the exit signal is not SIGCHLD; or the process is in a pid namespace, whose first process
// ignores SIGCHLD at its end; or a tracer reaps a thread; or the parent dies too, and the next
// parent may ignore SIGCHLD.
static __always_inline bool mark_uncertain(struct task_struct* leader,
                                           const struct task_struct* task,
                                           const struct task_struct* parent) {
  return leader->exit_signal != SIGCHLD_NUMBER || plainly(leader)->thread_pid->level != 0 ||
         leader->ptrace != 0 || task->ptrace != 0 ||
         (parent->signal->flags & SIGNAL_GROUP_EXIT) != 0;
}

// Whether the reader has read all records, so that it sleeps or is about to sleep.
static __always_inline bool reader_waits(void) {
  return bpf_ringbuf_query(&exits, BPF_RB_AVAIL_DATA) == 0;
}

// Wakes a waiting reader by an empty record, which the reader skips. A wakeup takes about as long
// as a process needs from here until its mark, so the reader is awake when the mark is sent.
static __always_inline void wake_reader(void) {
  void* nothing = bpf_ringbuf_reserve(&exits, sizeof(__u64), 0);
  if (nothing) bpf_ringbuf_discard(nothing, 0);
}

// Whether a pid namespace seems to end: the parent was killed. If the parent dies first, its child
// gets the first process of the namespace as parent, and is reaped without a signal.
static __always_inline bool ends_with_namespace(struct task_struct* leader,
                                                const struct task_struct* parent) {
  return plainly(leader)->thread_pid->level != 0 &&
         (parent->signal->flags & SIGNAL_GROUP_EXIT) != 0;
}

SEC("knell_tp/sched_process_exit")
int on_exit(__u64* ctx) {
  struct task_struct* task = (struct task_struct*)ctx[0];
  struct task_struct* leader = task->group_leader;
  const struct signal_struct* signal = plainly(leader)->signal;
  if (!last_of_process(leader, signal, ctx)) return 0;
  if (leader->tgid == heartbeat_pid) __sync_fetch_and_add(&heartbeats, 1);
  const int status = status_of(leader, signal);
  if (!settings.roots && (settings.raw || !wants_exit(status))) return 0;

  const int exit_signal = leader->exit_signal;
  struct task_struct* listener = plainly(leader)->parent;
  FOUND(listener);
  struct knell_who who = find(leader);
  const __s32 tgid = leader->tgid;
  const __u64 bits = roots_of(tgid);
  const bool silent =
      exit_signal == 0 ||
      (exit_signal == SIGCHLD_NUMBER &&
       listener->sighand->action[SIGCHLD_NUMBER - 1].sa.sa_handler == (void*)1);  // SIG_IGN
  if (silent) forget_roots(tgid, bits);
  if (settings.raw) return 0;
  // If no names are wanted, the mark is enough. But if there may be no mark, the details are sent,
  // and the reader makes the exit from them.
  const bool mark_only = !settings.names && !silent && !mark_uncertain(leader, task, listener);
  if (mark_only && !reader_waits()) return 0;
  if (!wants_exit(status) || !wants_process(leader, who.cred->uid.val, bits)) return 0;
  if (mark_only) {
    wake_reader();
    return 0;
  }

  struct knell_scratch* scratch = scratch_here();
  if (!scratch) return 0;
  begin_record(scratch, &who, KNELL_RECORD_DETAILS, bits);
  struct knell_process* process = &scratch->process;
  if (silent || ends_with_namespace(leader, listener)) process->head.flags |= KNELL_RECORD_NO_MARK;
  process->status = status;
  process->signal = exit_signal;
  __u32 tail = add_tail(scratch, &who, true, dying_readable, false);
  tail = add_senders(leader, status, tail);
  tail = add_levels(scratch, &who, leader, tail);
  if (send(&exits, scratch, tail, losses.exits) == 0) return 0;
  if (!silent && !mark_uncertain(leader, task, listener)) return 0;
  // The ring is full, and there may be no mark later: store a mark in the reserve.
  struct knell_mark mark;
  fill_mark(&mark, leader, who.parent, process->uid, process->status, process->roots);
  mark.head.flags = KNELL_RECORD_NO_MARK;
  reserve_mark(&mark);
  return 0;
}

// Raw level: reports the exit of every thread.
SEC("knell_tp/sched_process_exit")
int on_thread_exit(__u64* ctx) {
  struct task_struct* task = (struct task_struct*)ctx[0];
  const int status = task->exit_code;
  if (!settings.raw || !wants_exit(status)) return 0;
  struct task_struct* leader = task->group_leader;
  struct knell_who who = find(leader);
  const __u64 bits = roots_of(leader->tgid);
  struct knell_scratch* scratch = scratch_here();
  if (!scratch || !wants_process(leader, who.cred->uid.val, bits)) return 0;
  begin_record(scratch, &who, KNELL_RECORD_THREAD_EXIT, bits);
  scratch->process.tid = task->pid;
  scratch->process.status = status;
  scratch->process.signal = task->exit_signal;
  __builtin_memcpy(scratch->process.comm, task->comm, KNELL_COMM_BYTES);
  __u32 tail = add_tail(scratch, &who, true, dying_readable, false);
  tail = add_senders(leader, status, tail);
  tail = add_levels(scratch, &who, task, tail);
  if (send(&exits, scratch, tail, losses.exits)) __sync_fetch_and_add(&losses.exits, 1);
  return 0;
}

// Called when the dying process sends its parent the signal of its exit. A dying process also sends
// other signals, and notifies the new parents of its zombie children. At that time it is not a
// zombie itself, so on_signal() can distinguish them.
static __always_inline void on_exit_signal(struct task_struct* leader,
                                           const struct signal_struct* signal) {
  const int status = status_of(leader, signal);
  if (!settings.roots && (settings.raw || !wants_exit(status))) return;
  const __s32 tgid = leader->tgid;
  const struct task_struct* parent = plainly(leader)->real_parent;
  FOUND(parent);
  const struct cred* cred = plainly(leader)->real_cred;
  FOUND(cred);
  const __u32 uid = cred->uid.val;
  const __u64 bits = roots_of(tgid);
  forget_roots(tgid, bits);
  if (settings.raw || !wants_exit(status) || !wants_process(leader, uid, bits)) return;
  struct knell_mark mark;
  fill_mark(&mark, leader, parent, uid, status, bits);
  if (bpf_ringbuf_output(&exits, &mark, sizeof mark, 0)) reserve_mark(&mark);
}

SEC("knell_tp/signal_generate")
int on_signal(__u64* ctx) {
  const int signal = (int)ctx[0];
  struct task_struct* task = (struct task_struct*)ctx[2];
  struct task_struct* current = bpf_get_current_task_btf();
  const struct signal_struct* group = plainly(current)->signal;
  // Loaded before the branches, since the verifier takes long to check this load.
  struct task_struct* to = task->group_leader;
  FOUND(to);
  // Idle tasks have no live thread in their group either.
  if (group->live.counter == 0) {
    struct task_struct* leader = plainly(current)->group_leader;
    // A tracer always gets SIGCHLD, independent of the exit signal, and so does a parent that has
    // exec'ed.
    if ((signal == leader->exit_signal || signal == SIGCHLD_NUMBER) &&
        leader->exit_state == EXIT_ZOMBIE && task == leader->parent)
      on_exit_signal(leader, group);
  }
  if (signal == SIGCHLD_NUMBER || !settings.names) return 0;
  signal_generated(task, to, signal, ctx[1], ctx[3] != 0, (int)ctx[4]);
  return 0;
}

SEC("knell_tp/signal_deliver")
int on_delivery(__u64* ctx) {
  const int signal = (int)ctx[0];
  if (signal == SIGCHLD_NUMBER || signal == SIGKILL_NUMBER || !settings.names) return 0;
  if (!among(signal, HARMLESS_SIGNALS)) signal_delivered(signal, ctx[1], ctx[2]);
  return 0;
}

// A child has the args and the path of its parent until it execs.
static __always_inline void inherit(struct task_struct* parent, struct task_struct* child) {
  const struct knell_stored_exec* from =
      bpf_task_storage_get(&stored_execs, parent->group_leader, NULL, 0);
  if (!from) return;
  struct knell_stored_exec* to =
      bpf_task_storage_get(&stored_execs, child, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (to) bpf_probe_read_kernel(to, sizeof *to, from);
}

SEC("knell_tp/sched_process_fork")
int on_fork(__u64* ctx) {
  struct task_struct* creator = usually_plainly((struct task_struct*)ctx[0]);
  struct task_struct* child = usually_plainly((struct task_struct*)ctx[1]);
  const bool process = child->pid == child->tgid;
  struct task_struct* parent = child->real_parent->group_leader;
  struct knell_who who = find(parent);
  __u64 bits = roots_of(parent->tgid);
  // With CLONE_PARENT the child is a sibling of its creator, and is under the same roots.
  if (process && creator->tgid != parent->tgid) bits |= roots_of(creator->tgid);
  if (process && settings.roots) {
    const __s32 tgid = child->tgid;
    if (!bits)
      bpf_map_delete_elem(&roots, &tgid);  // removes the entry of an earlier process with this pid
    else if (bpf_map_update_elem(&roots, &tgid, &bits, BPF_ANY) && settings.only_under)
      __sync_fetch_and_add(&losses.exits, 1);  // the map is full: events of this process are lost
  }
  if (process && !dying_readable && settings.full) inherit(creator, child);

  const bool wanted = (settings.mask & EVENT_FORK) && (process || settings.raw) &&
                      wants_process(parent, who.cred->uid.val, bits);
  if (!wanted && !nested(child)) return 0;
  struct knell_scratch* scratch = scratch_here();
  if (!scratch) return 0;
  begin_record(scratch, &who, KNELL_RECORD_FORK, bits);
  scratch->process.child_pid = child->tgid;
  scratch->process.child_tid = child->pid;
  scratch->process.child_uid = plainly(child)->real_cred->uid.val;
  scratch->process.child_start_ns = child->start_boottime;
  __u32 tail = 0;
  // Only the memory of the running process can be read.
  if (wanted)
    tail = add_tail(scratch, &who, parent->tgid == creator->tgid, true, false);
  else
    scratch->process.head.flags |= KNELL_RECORD_BIRTH;
  tail = add_levels_of_birth(scratch, &who, child, tail);
  if (send(&others, scratch, tail, lost_others()))
    __sync_fetch_and_add(wanted ? &losses.forks : &losses.births, 1);
  return 0;
}

static __always_inline void store_exec(struct knell_scratch* scratch, struct task_struct* leader) {
  const struct knell_process* process = &scratch->process;
  struct knell_stored_exec* exec =
      bpf_task_storage_get(&stored_execs, leader, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
  if (!exec) return;
  __u32 args = process->args_bytes, exe = process->exe_bytes;
  exec->flags = process->head.flags & (KNELL_RECORD_ARGS | KNELL_RECORD_ARGS_CUT |
                                       KNELL_RECORD_ARGS_EXACT | KNELL_RECORD_EXE_DELETED);
  exec->args_bytes = exec->exe_bytes = 0;
  __u32 kept = args;
  if (kept > KNELL_STORED_ARGS) {
    kept = KNELL_STORED_ARGS;
    exec->flags |= KNELL_RECORD_ARGS_CUT;
  }
  asm volatile("%0 &= 2047" : "+r"(kept));
  if (kept > KNELL_STORED_ARGS) return;
  bpf_probe_read_kernel(exec->args, kept, scratch->tail);
  exec->args_bytes = kept;
  asm volatile("%0 &= 8191" : "+r"(args));
  asm volatile("%0 &= 1023" : "+r"(exe));
  if (exe > KNELL_STORED_PATH) return;
  bpf_probe_read_kernel(exec->exe, exe, &scratch->tail[args]);
  exec->exe_bytes = process->exe_bytes <= KNELL_STORED_PATH ? exe : 0;
}

SEC("knell_tp/sched_process_exec")
int on_exec(__u64* ctx) {
  struct task_struct* task = (struct task_struct*)ctx[0];
  const bool keep = !dying_readable && settings.full;
  struct knell_who who = find(task);
  const __u64 bits = roots_of(task->tgid);
  const bool report = (settings.mask & EVENT_EXEC) && wants_process(task, who.cred->uid.val, bits);
  if (!keep && !report) return 0;
  struct knell_scratch* scratch = scratch_here();
  if (!scratch) return 0;
  begin_record(scratch, &who, KNELL_RECORD_EXEC, bits);
  __u32 tail = add_tail(scratch, &who, true, true, true);
  tail = add_levels(scratch, &who, task, tail);
  if (keep) store_exec(scratch, task);
  if (report && send(&others, scratch, tail, lost_others())) __sync_fetch_and_add(&losses.execs, 1);
  return 0;
}

SEC("knell_tp/task_rename")
int on_rename(__u64* ctx) {
  struct task_struct* task = usually_plainly((struct task_struct*)ctx[0]);
  struct task_struct* current = usually_plainly(bpf_get_current_task_btf());
  // An exec renames the process too, and is reported as an exec.
  if (task == current && BPF_CORE_READ_BITFIELD_PROBED(current, in_execve)) return 0;
  if (!(settings.mask & EVENT_COMM)) return 0;
  if (!settings.raw && task->pid != task->tgid) return 0;
  struct task_struct* leader = task->group_leader;
  struct knell_who who = find(leader);
  const __u64 bits = roots_of(task->tgid);
  struct knell_scratch* scratch = scratch_here();
  if (!scratch || !wants_process(leader, who.cred->uid.val, bits)) return 0;
  begin_record(scratch, &who, KNELL_RECORD_COMM, bits);
  scratch->process.tid = task->pid;
  bpf_probe_read_kernel_str(scratch->process.new_comm, KNELL_COMM_BYTES, (const void*)ctx[1]);
  __u32 tail = add_tail(scratch, &who, task->tgid == current->tgid, true, false);
  tail = add_levels(scratch, &who, task, tail);
  if (send(&others, scratch, tail, lost_others())) __sync_fetch_and_add(&losses.comms, 1);
  return 0;
}

static __always_inline void report_cgroup(const struct cgroup* cgroup, const char* path,
                                          __u32 flags) {
  struct knell_scratch* scratch = scratch_here();
  if (!scratch) return;
  struct knell_cgroup* record = (struct knell_cgroup*)scratch;
  record->parent = 0;
  long bytes = bpf_probe_read_kernel_str(record + 1, KNELL_ARGS_MOST, path);
  if (bytes > KNELL_REPORTED_CGROUP) {
    const __u64 above = (__u64)BPF_CORE_READ(cgroup, self.parent);
    if (!above) return;
    const struct cgroup* parent = (const void*)(above - bpf_core_field_offset(struct cgroup, self));
    record->parent = BPF_CORE_READ(parent, kn, id);
    bytes = bpf_probe_read_kernel_str(record + 1, KNELL_NAME_MOST, BPF_CORE_READ(cgroup, kn, name));
  }
  if (bytes <= 1 || bytes >= KNELL_ARGS_MOST) return;
  if (settings.some_cgroups_paths && !record->parent && bytes <= KNELL_CGROUP_MOST) {
    // This runs before any process can be in the new cgroup. The bytes after the path must be zero,
    // as in the key of the map.
    char* key = scratch->tail;
    __builtin_memset(key, 0, KNELL_CGROUP_MOST);
    bpf_probe_read_kernel_str(key, KNELL_CGROUP_MOST, path);
    const __u64 inode = cgroup->kn->id;
    const __u32 one = 1;
    if (bpf_map_lookup_elem(&cgroup_paths, key) &&
        bpf_map_update_elem(&cgroups, &inode, &one, BPF_ANY))
      settings.some_cgroups = 0;  // the map is full: user space filters by cgroup
  }
  if (!settings.names) return;
  record->head.kind = KNELL_RECORD_CGROUP;
  record->head.flags = flags;
  record->inode = cgroup->kn->id;
  record->path_bytes = (__u32)bytes - 1;
  record->pad = 0;
  record->head.lost = lost_others();
  __u32 size = (__u32)bytes - 1;
  asm volatile("%0 &= 8191" : "+r"(size));
  record->head.stamp_ns = bpf_ktime_get_ns();
  bpf_ringbuf_output(&others, scratch, sizeof *record + size, 0);
}

SEC("knell_tp/cgroup_mkdir")
int on_mkdir(__u64* ctx) {
  const struct cgroup* cgroup = CAST(cgroup, ctx[0]);
  if (cgroup->root->hierarchy_id == hierarchy) report_cgroup(cgroup, (const char*)ctx[1], 0);
  return 0;
}

// Only cgroups of version 1 can be renamed. This changes the paths of all cgroups below, too.
SEC("knell_tp/cgroup_rename")
int on_rename_cgroup(__u64* ctx) {
  const struct cgroup* cgroup = CAST(cgroup, ctx[0]);
  if (cgroup->root->hierarchy_id != hierarchy) return 0;
  settings.some_cgroups = 0;  // until they are set again, user space filters by cgroup
  report_cgroup(cgroup, (const char*)ctx[1], KNELL_RECORD_RENAMED);
  return 0;
}

// The event types of the connector. A connector socket is opened for these only, and on_connector()
// is its filter program. The kernel runs the filter when the event is created, usually in the
// subject of the event, so the details are current. The filter drops every datagram, since the ring
// has the event. This struct is the part of a datagram that the filter reads, from offset 36 on.
struct knell_datagram {
  __u32 what, cpu, stamp[2];
  __s32 tid, pid;
  __u32 change[2];
};

static __always_inline void send_change(struct knell_scratch* scratch,
                                        const struct knell_datagram* datagram, __u32 tail) {
  struct knell_process* process = &scratch->process;
  process->tid = datagram->tid;
  process->what = datagram->what;
  process->change[0] = datagram->change[0];
  process->change[1] = datagram->change[1];
  if (send(&others, scratch, tail, lost_others())) __sync_fetch_and_add(&losses.changes, 1);
}

// Reports an event of the running process.
static __always_inline void report_change(const struct knell_datagram* datagram) {
  struct task_struct* current = usually_plainly(bpf_get_current_task_btf());
  struct task_struct* leader = current->group_leader;
  if (leader->tgid != datagram->pid) return;
  struct knell_who who = find(leader);
  __u32 uid = who.cred->uid.val;
  FOUND(uid);
  if (datagram->what == EVENT_UID) uid = datagram->change[0];  // at raw level the uid of the thread
  const __u64 bits = roots_of(datagram->pid);
  struct knell_scratch* scratch = scratch_here();
  if (!scratch || !wants_process(leader, uid, bits)) return;
  begin_record(scratch, &who, KNELL_RECORD_CHANGE, bits);
  scratch->process.uid = uid;
  if (datagram->what == EVENT_GID) scratch->process.gid = datagram->change[0];
  __u32 tail = add_tail(scratch, &who, true, true, false);
  tail = add_levels(scratch, &who, current, tail);
  send_change(scratch, datagram, tail);
}

// The address of the task with this tid in the initial pid namespace; 0: not found. The namespace
// has its struct pids in a tree with 64 branches a node. The lowest bits of a pointer to a node are
// 2.
static __always_inline __u64 task_with(__s32 tid) {
  const __u64 ours = pid_of(bpf_get_current_task_btf());
  const struct pid_namespace* ns = BPF_CORE_READ(upid_at(ours, 0), ns);
  __u64 at = (__u64)BPF_CORE_READ(ns, idr.idr_rt.xa_head);
  for (int i = 0; i < 6 && (at & 3) == 2; i++) {
    const struct xa_node* node = (const void*)(at - 2);
    const __u32 slot = (__u32)tid >> (BPF_CORE_READ(node, shift) & 31) & 63;
    at = 0;
    bpf_probe_read_kernel(
        &at, sizeof at,
        (const char*)node + bpf_core_field_offset(struct xa_node, slots) + slot * sizeof at);
  }
  if (!at || (at & 3)) return 0;
  __u64 link = 0;
  bpf_probe_read_kernel(&link, sizeof link,
                        (const char*)at + bpf_core_field_offset(struct pid, tasks));
  if (!link) return 0;
  const __u64 task = link - bpf_core_field_offset(struct task_struct, pid_links);
  return BPF_CORE_READ((const struct task_struct*)task, pid) == tid ? task : 0;
}

// Reports a ptrace event: the running process is the tracer, not the traced process. So all fields
// are read by address, and the details in the memory of the traced process are missing.
static __always_inline void report_ptrace(const struct knell_datagram* datagram) {
  struct knell_scratch* scratch = scratch_here();
  if (!scratch) return;
  const struct task_struct* task = (const void*)task_with(datagram->tid);
  if (!task || BPF_CORE_READ(task, tgid) != datagram->pid) return;
  const struct task_struct* leader = BPF_CORE_READ(task, group_leader);
  const struct task_struct* parent = BPF_CORE_READ(leader, real_parent, group_leader);
  const struct cred* cred = BPF_CORE_READ(leader, real_cred);
  const __u32 uid = BPF_CORE_READ(cred, uid.val);
  const __u64 set = (__u64)BPF_CORE_READ(leader, cgroups);
  const __u64 bits = roots_of(datagram->pid);
  if (!wants_pid((__u32)datagram->pid, uid, bits)) return;
  if (settings.some_cgroups && !in_wanted_cgroup(set)) return;
  struct knell_process* process = &scratch->process;
  __builtin_memset(process, 0, sizeof *process);
  process->head.kind = KNELL_RECORD_CHANGE;
  process->start_ns = BPF_CORE_READ(leader, start_boottime);
  process->parent_start_ns = BPF_CORE_READ(parent, start_boottime);
  process->roots = bits;
  process->pid = datagram->pid;
  process->ppid = BPF_CORE_READ(parent, tgid);
  process->uid = uid;
  if (settings.names) {
    process->head.flags = KNELL_RECORD_NAMED;
    process->gid = BPF_CORE_READ(cred, gid.val);
    process->cgroup = inode_of(cgroup_at(set));
    BPF_CORE_READ_STR_INTO(&process->comm, leader, comm);
    BPF_CORE_READ_STR_INTO(&process->parent_comm, parent, comm);
  }
  __u32 tail = 0;
  if (settings.namespaces) {
    struct knell_named* named = &scratch->named;
    __builtin_memset(named, 0, sizeof *named);
    const __u64 its = pid_of(task);
    named->of = named->tid = its;
    named->pid = pid_of(leader);
    named->ppid = pid_of(parent);
    if (BPF_CORE_READ((const struct pid*)its, level) == 0) {
      process->head.flags |= KNELL_RECORD_LEVELS;
    } else {
      __builtin_memset(&scratch->killer, 0, sizeof scratch->killer);
      __builtin_memset(&scratch->last_sender, 0, sizeof scratch->last_sender);
      if (datagram->change[1])
        fill_numbers(scratch->killer.pid, its, pid_of(bpf_get_current_task_btf()));
      tail = append_all_levels(scratch, 0);
    }
  }
  send_change(scratch, datagram, tail);
}

SEC("knell_filter")
int on_connector(struct __sk_buff* skb) {
  struct knell_datagram datagram;
  if (bpf_skb_load_bytes(skb, 36, &datagram, sizeof datagram)) return 0;
  if (!(settings.mask & datagram.what & EVENTS_OF_CONNECTOR)) return 0;
  if (!settings.raw && datagram.what != EVENT_COREDUMP && datagram.tid != datagram.pid) return 0;
  if (datagram.what == EVENT_PTRACE)
    report_ptrace(&datagram);
  else
    report_change(&datagram);
  return 0;
}

KNELL_ENTRY(sched_process_fork, on_fork)
KNELL_ENTRY(sched_process_exec, on_exec)
KNELL_ENTRY(sched_process_exit, on_exit)
KNELL_ENTRY(sched_process_exit, on_thread_exit)
KNELL_ENTRY(task_rename, on_rename)
KNELL_ENTRY(signal_generate, on_signal)
KNELL_ENTRY(signal_deliver, on_delivery)
KNELL_ENTRY(cgroup_mkdir, on_mkdir)
KNELL_ENTRY(cgroup_rename, on_rename_cgroup)

// Some helpers of the kernel require a licence that is compatible with the GPL.
char licence[] SEC("license") = "Dual BSD/GPL";
