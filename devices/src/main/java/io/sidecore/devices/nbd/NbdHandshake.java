package io.sidecore.devices.nbd;

import io.sidecore.actors.block.Capabilities.BlockSizes;
import io.sidecore.conf.TlsSettings;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.BitSet;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * The handshake phase, fixed newstyle (proto.md, "Newstyle negotiation"): greeting, client flags, then options until the client chooses an export or leaves. Pure: {@link #feed} consumes what the client
 * sent; what is to be sent collects in {@link #output()}.
 */
public final class NbdHandshake {
    /** Options longer than this are refused: no option we know needs more. */
    public static final int MAX_OPTION = 8 << 10;

    /** Options a client may send before it has to choose. */
    static final int MAX_OPTIONS = 64;

    /** Unsent answers, about: beyond that no option is looked at until the client has taken them. */
    static final int MAX_OUTPUT = 64 << 10;

    private enum Step {
        CLIENT_FLAGS,
        OPTION,
        SKIP,
        STARTTLS,
        DONE
    }

    private final List<NbdExport> exports;
    private ByteBuffer out = ByteBuffer.allocate(1024);
    private Step step = Step.CLIENT_FLAGS;
    private boolean noZeroes;
    private long skip;
    private int options;
    private boolean shuttingDown;
    private boolean structured;
    private @Nullable NbdExport contextOf;
    private final Map<NbdExport, Long> sizes = new HashMap<>();
    private @Nullable NbdSession chosen;
    private TlsSettings.Mode tls;
    private boolean secure;

    /** A handshake about these exports, without TLS; the first one also answers to the empty name. */
    public NbdHandshake(List<NbdExport> exports) {
        this(exports, TlsSettings.Mode.OFF);
    }

    /** The same, with TLS offered or required: the modes SELECTIVETLS, in which no export is TLS-only, and FORCEDTLS of proto.md. */
    public NbdHandshake(List<NbdExport> exports, TlsSettings.Mode tls) {
        this.tls = tls;
        this.exports = List.copyOf(exports);
        out.putLong(Nbd.NBDMAGIC).putLong(Nbd.IHAVEOPT).putShort((short)
                (Nbd.FLAG_FIXED_NEWSTYLE | Nbd.FLAG_NO_ZEROES));
    }

    /** From now on whatever the client may ask is refused with NBD_REP_ERR_SHUTDOWN, and an abort acknowledged (proto.md, "Termination of the session during option haggling"). */
    void shutDown() {
        shuttingDown = true;
    }

    /** Whether the client shall begin TLS now: send the rest of the output, then go on with {@link #secured()} over TLS. */
    public boolean startsTls() {
        return step == Step.STARTTLS;
    }

    /** What comes from now on comes over TLS. Nothing negotiated before counts (proto.md, NBD_OPT_STARTTLS); the client's flags are not negotiation, and are not sent again. */
    public void secured() {
        secure = true;
        structured = false;
        contextOf = null;
        sizes.clear();
        step = Step.OPTION;
    }

    /** Whether it is over: send the rest of the output, then go on with {@link #chosen()} or close. */
    public boolean done() {
        return step == Step.DONE;
    }

    /** The export the client chose, and what was agreed on; empty if it left without. */
    public Optional<NbdSession> chosen() {
        return Optional.ofNullable(chosen);
    }

    /** What is to be sent, ready to be read; cleared by {@link #sent}. */
    public ByteBuffer output() {
        return out.duplicate().flip();
    }

    /** So many bytes of the output were sent. */
    public void sent(int bytes) {
        out.flip().position(bytes);
        out.compact();
    }

    /**
     * Consumes as much of {@code in} as makes sense, stopping right behind the option by which the client chose: what remains belongs to the transmission phase. While there is too much unsent output
     * nothing is consumed: send it and feed again.
     *
     * @throws NbdProtocolException if the client does not speak the protocol
     */
    public void feed(ByteBuffer in) throws NbdProtocolException {
        while (step != Step.DONE && step != Step.STARTTLS && out.position() < MAX_OUTPUT) {
            if (step == Step.SKIP) {
                var n = (int) Math.min(skip, in.remaining());
                in.position(in.position() + n);
                skip -= n;
                if (skip > 0) {
                    return;
                }
                step = Step.OPTION;
            } else if (step == Step.CLIENT_FLAGS) {
                if (in.remaining() < 4) {
                    return;
                }
                clientFlags(in.getInt());
            } else if (!option(in)) {
                return;
            }
        }
    }

    private void clientFlags(int flags) throws NbdProtocolException {
        if ((flags & ~(Nbd.FLAG_FIXED_NEWSTYLE | Nbd.FLAG_NO_ZEROES)) != 0) {
            throw new NbdProtocolException("client flags 0x%x are unknown".formatted(flags));
        }
        if ((flags & Nbd.FLAG_FIXED_NEWSTYLE) == 0) {
            // proto.md, "TLS support": without fixed newstyle there is no TLS, and no option can be refused.
            if (tls == TlsSettings.Mode.REQUIRE) {
                throw new NbdProtocolException("the client knows no fixed newstyle, and so no TLS, which is required");
            }
            tls = TlsSettings.Mode.OFF;
        }
        noZeroes = (flags & Nbd.FLAG_NO_ZEROES) != 0;
        step = Step.OPTION;
    }

    private boolean option(ByteBuffer in) throws NbdProtocolException {
        if (in.remaining() < 16) {
            return false;
        }
        var at = in.position();
        if (in.getLong(at) != Nbd.IHAVEOPT) {
            throw new NbdProtocolException("option does not begin with IHAVEOPT: 0x%x".formatted(in.getLong(at)));
        }
        var option = in.getInt(at + 8);
        var length = in.getInt(at + 12) & 0xffff_ffffL;
        if (length > MAX_OPTION) {
            count();
            if (option == Nbd.OPT_EXPORT_NAME) {
                throw new NbdProtocolException("export name of " + length + " bytes");
            }
            in.position(at + 16);
            reply(
                    option,
                    plain(option) ? Nbd.REP_ERR_TLS_REQD : Nbd.REP_ERR_TOO_BIG,
                    "option of " + length + " bytes; at most " + MAX_OPTION);
            skip = length;
            step = Step.SKIP;
            return true;
        }
        if (in.remaining() < 16 + length) {
            return false;
        }
        count();
        var data = new byte[(int) length];
        in.position(at + 16);
        in.get(data);
        if (plain(option)) {
            // Even by a host that stops: to a client without TLS it says nothing else (proto.md, "FORCEDTLS mode").
            refusePlain(option);
            return true;
        }
        if (shuttingDown && option != Nbd.OPT_ABORT) {
            refuseToGoOn(option);
            return true;
        }
        switch (option) {
            case Nbd.OPT_EXPORT_NAME -> exportName(data);
            case Nbd.OPT_ABORT -> {
                reply(option, Nbd.REP_ACK, new byte[0]);
                step = Step.DONE;
            }
            case Nbd.OPT_STARTTLS -> startTls(data, in);
            case Nbd.OPT_LIST -> list(data);
            case Nbd.OPT_INFO, Nbd.OPT_GO -> info(option, data);
            case Nbd.OPT_STRUCTURED_REPLY -> structuredReply(data);
            case Nbd.OPT_LIST_META_CONTEXT, Nbd.OPT_SET_META_CONTEXT -> metaContext(option, data);
            default -> reply(option, Nbd.REP_ERR_UNSUP, "option " + option + " is not supported");
        }
        return true;
    }

    private void count() throws NbdProtocolException {
        if (++options > MAX_OPTIONS) {
            throw new NbdProtocolException("more than " + MAX_OPTIONS + " options without choosing an export");
        }
    }

    private void refuseToGoOn(int option) throws NbdProtocolException {
        if (option == Nbd.OPT_EXPORT_NAME) {
            // There is no way to refuse it but to close.
            throw new NbdProtocolException("the host is stopping");
        }
        reply(option, Nbd.REP_ERR_SHUTDOWN, "the host is stopping");
    }

    /** Whether it may not be answered before TLS (proto.md, "FORCEDTLS mode"). */
    private boolean plain(int option) {
        return tls == TlsSettings.Mode.REQUIRE && !secure && option != Nbd.OPT_STARTTLS && option != Nbd.OPT_ABORT;
    }

    private void refusePlain(int option) throws NbdProtocolException {
        if (option == Nbd.OPT_EXPORT_NAME) {
            throw new NbdProtocolException("the client asked for an export without TLS, which is required");
        }
        reply(option, Nbd.REP_ERR_TLS_REQD, "TLS is required: connect by nbds://");
    }

    private void startTls(byte[] data, ByteBuffer in) throws NbdProtocolException {
        if (tls == TlsSettings.Mode.OFF) {
            reply(Nbd.OPT_STARTTLS, Nbd.REP_ERR_UNSUP, "TLS is not supported");
        } else if (secure) {
            reply(Nbd.OPT_STARTTLS, Nbd.REP_ERR_INVALID, "this is TLS already");
        } else if (data.length != 0) {
            reply(Nbd.OPT_STARTTLS, Nbd.REP_ERR_INVALID, "STARTTLS takes no data");
        } else if (in.hasRemaining()) {
            // Whoever sits in between may have put them there, to be taken for what the client says over TLS.
            throw new NbdProtocolException(
                    in.remaining() + " bytes came behind STARTTLS in plain, before it was acknowledged");
        } else {
            reply(Nbd.OPT_STARTTLS, Nbd.REP_ACK, new byte[0]);
            step = Step.STARTTLS;
        }
    }

    private void exportName(byte[] data) throws NbdProtocolException {
        var name = new String(data, StandardCharsets.UTF_8);
        // proto.md: there is no way to refuse but to close.
        var export = find(name)
                .orElseThrow(() -> new NbdProtocolException("export '" + printable(name) + "' does not exist"));
        room(8 + 2 + 124);
        out.putLong(sizeOf(export)).putShort((short) export.transmissionFlags(structured));
        if (!noZeroes) {
            out.put(new byte[124]);
        }
        choose(export);
    }

    private void choose(NbdExport export) {
        chosen = new NbdSession(export, sizeOf(export), structured, contextOf == export);
        step = Step.DONE;
    }

    /** The same in every answer: a client that asked by INFO gets the same by GO, even if the volume is resized in between. */
    private long sizeOf(NbdExport export) {
        return sizes.computeIfAbsent(export, NbdExport::toldSize);
    }

    private void list(byte[] data) {
        if (data.length != 0) {
            reply(Nbd.OPT_LIST, Nbd.REP_ERR_INVALID, "LIST takes no data");
            return;
        }
        for (var export : exports) {
            var name = export.name().getBytes(StandardCharsets.UTF_8);
            var description = export.description().getBytes(StandardCharsets.UTF_8);
            reply(
                    Nbd.OPT_LIST,
                    Nbd.REP_SERVER,
                    ByteBuffer.allocate(4 + name.length + description.length)
                            .putInt(name.length)
                            .put(name)
                            .put(description)
                            .array());
        }
        reply(Nbd.OPT_LIST, Nbd.REP_ACK, new byte[0]);
    }

    private void info(int option, byte[] bytes) {
        var data = ByteBuffer.wrap(bytes);
        if (data.remaining() < 6) {
            reply(option, Nbd.REP_ERR_INVALID, "too short");
            return;
        }
        var nameLength = data.getInt();
        if (nameLength < 0 || nameLength > Nbd.MAX_STRING || nameLength > data.remaining() - 2) {
            reply(option, Nbd.REP_ERR_INVALID, "the export name does not fit in the option");
            return;
        }
        var name = new String(bytes, 4, nameLength, StandardCharsets.UTF_8);
        data.position(4 + nameLength);
        var wanted = data.getShort() & 0xffff;
        if (data.remaining() != 2 * wanted) {
            reply(option, Nbd.REP_ERR_INVALID, wanted + " information requests do not fit in the option");
            return;
        }
        var found = find(name);
        if (found.isEmpty()) {
            reply(option, Nbd.REP_ERR_UNKNOWN, "export '" + printable(name) + "' does not exist");
            return;
        }
        var export = found.get();
        reply(
                option,
                Nbd.REP_INFO,
                ByteBuffer.allocate(12)
                        .putShort((short) Nbd.INFO_EXPORT)
                        .putLong(sizeOf(export))
                        .putShort((short) export.transmissionFlags(structured))
                        .array());
        var answered = new BitSet();
        while (data.hasRemaining()) {
            var one = data.getShort() & 0xffff;
            if (!answered.get(one)) {
                answered.set(one);
                more(option, one, export);
            }
        }
        if (!answered.get(Nbd.INFO_BLOCK_SIZE) && !export.capabilities().sizes().equals(BlockSizes.ANY)) {
            // Not asked for, but a client that keeps to it is served better (proto.md, "Size constraints").
            more(option, Nbd.INFO_BLOCK_SIZE, export);
        }
        reply(option, Nbd.REP_ACK, new byte[0]);
        if (option == Nbd.OPT_GO) {
            choose(export);
        }
    }

    private void more(int option, int wanted, NbdExport export) {
        switch (wanted) {
            case Nbd.INFO_NAME -> text(option, wanted, export.name());
            case Nbd.INFO_DESCRIPTION -> text(option, wanted, export.description());
            case Nbd.INFO_BLOCK_SIZE -> {
                var sizes = export.capabilities().sizes();
                reply(
                        option,
                        Nbd.REP_INFO,
                        ByteBuffer.allocate(14)
                                .putShort((short) wanted)
                                .putInt(sizes.minimum())
                                .putInt(sizes.preferred())
                                .putInt(export.maxPayload())
                                .array());
            }
            // What nobody knows is left out (proto.md: the server MUST ignore it).
            default -> {}
        }
    }

    private void text(int option, int information, String text) {
        var bytes = text.getBytes(StandardCharsets.UTF_8);
        reply(
                option,
                Nbd.REP_INFO,
                ByteBuffer.allocate(2 + bytes.length)
                        .putShort((short) information)
                        .put(bytes)
                        .array());
    }

    private void structuredReply(byte[] data) {
        if (data.length != 0) {
            reply(Nbd.OPT_STRUCTURED_REPLY, Nbd.REP_ERR_INVALID, "STRUCTURED_REPLY takes no data");
            return;
        }
        structured = true;
        reply(Nbd.OPT_STRUCTURED_REPLY, Nbd.REP_ACK, new byte[0]);
    }

    private void metaContext(int option, byte[] data) {
        var set = option == Nbd.OPT_SET_META_CONTEXT;
        if (set) {
            // What was set before is gone even if this one fails.
            contextOf = null;
        }
        if (!structured) {
            reply(option, Nbd.REP_ERR_INVALID, "ask for STRUCTURED_REPLY first");
            return;
        }
        var parsed = NbdMetaContexts.parse(data);
        if (parsed.isEmpty()) {
            reply(option, Nbd.REP_ERR_INVALID, "its name and queries do not fit in the option");
            return;
        }
        var asked = parsed.get();
        var export = find(asked.export());
        if (export.isEmpty()) {
            reply(option, Nbd.REP_ERR_UNKNOWN, "export '" + printable(asked.export()) + "' does not exist");
        } else if (asked.queries().size() > NbdMetaContexts.MAX_QUERIES) {
            reply(
                    option,
                    Nbd.REP_ERR_TOO_BIG,
                    asked.queries().size() + " queries; at most " + NbdMetaContexts.MAX_QUERIES);
        } else if (asked.malformed()) {
            reply(option, Nbd.REP_ERR_INVALID, "a query without a namespace and a colon");
        } else {
            if (set ? asked.selects() : asked.lists()) {
                // The number is reserved in a list (proto.md, "NBD_OPT_LIST_META_CONTEXT").
                context(option, set ? NbdMetaContexts.ALLOCATION_ID : 0);
            }
            if (set && asked.selects()) {
                contextOf = export.get();
            }
            reply(option, Nbd.REP_ACK, new byte[0]);
        }
    }

    private void context(int option, int id) {
        var name = NbdMetaContexts.ALLOCATION.getBytes(StandardCharsets.UTF_8);
        reply(
                option,
                Nbd.REP_META_CONTEXT,
                ByteBuffer.allocate(4 + name.length).putInt(id).put(name).array());
    }

    private Optional<NbdExport> find(String name) {
        return exports.stream()
                .filter(e -> e.name().equals(name) || name.isEmpty())
                .findFirst();
    }

    private void reply(int option, int type, String message) {
        reply(option, type, message.getBytes(StandardCharsets.UTF_8));
    }

    private void reply(int option, int type, byte[] data) {
        room(20 + data.length);
        out.putLong(Nbd.OPTION_REPLY_MAGIC)
                .putInt(option)
                .putInt(type)
                .putInt(data.length)
                .put(data);
    }

    private void room(int bytes) {
        if (out.remaining() < bytes) {
            out = ByteBuffer.allocate(2 * out.capacity() + bytes).put(out.flip());
        }
    }

    /** A name from the wire, fit for a log line. */
    private static String printable(String name) {
        var safe = name.codePoints()
                .map(c -> Character.isISOControl(c) ? '?' : c)
                .limit(80)
                .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append);
        return safe.toString();
    }
}
