package io.sidecore.it.house;

import static org.assertj.core.api.Assertions.assertThat;

import io.sidecore.actors.block.BlockOp;
import io.sidecore.actors.block.Errno;
import io.sidecore.actors.block.Extents;
import io.sidecore.actors.block.InFlightLedger;
import io.sidecore.actors.block.Request;
import io.sidecore.actors.block.Slab;
import io.sidecore.actors.core.Clock;
import io.sidecore.actors.core.CoreLoop;
import io.sidecore.actors.core.Loop;
import io.sidecore.actors.core.Loops;
import io.sidecore.actors.core.PhysicalCore;
import io.sidecore.actors.vif.GuestEnd;
import io.sidecore.actors.vif.GuestPort;
import io.sidecore.actors.vif.Interposer;
import io.sidecore.actors.vif.Queue;
import io.sidecore.actors.vif.Route;
import io.sidecore.actors.vif.ServiceEnd;
import io.sidecore.actors.vif.Stages;
import io.sidecore.actors.vif.VirtualInterface;
import io.sidecore.actors.vif.Volume;
import io.sidecore.conf.VifSettings;
import java.lang.reflect.GenericArrayType;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.WildcardType;
import java.net.URI;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.tools.DiagnosticCollector;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.ToolProvider;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** SV-5: management is out of a guest's reach, by type. What a guest's end or an interposer's stage is given leads to nothing that creates, destroys or changes a VIF, a volume or a loop. */
class GuestReachTest {
    static final Set<Class<?>> MANAGEMENT = Set.of(
            Queue.class,
            Route.class,
            Volume.class,
            VirtualInterface.class,
            CoreLoop.class,
            Loops.class,
            PhysicalCore.class);

    /** Whatever is added here must be looked at: does it lead to management? */
    private static final Set<Class<?>> WITHIN_REACH = Set.of(
            ServiceEnd.class,
            Interposer.Site.class,
            Loop.class,
            Clock.class,
            VifSettings.class,
            Stages.class,
            InFlightLedger.class,
            Request.class,
            Slab.class,
            BlockOp.class,
            Extents.class,
            Errno.class);

    @TempDir
    Path directory;

    @Test
    void whatAGuestsEndAndAnInterposerAreGivenLeadsToNoManagement() {
        var reached = new HashSet<Class<?>>();
        Arrays.stream(GuestEnd.class.getMethods())
                .map(Method::getGenericParameterTypes)
                .flatMap(Arrays::stream)
                .forEach(type -> reach(type, reached));
        reach(Interposer.Site.class, reached);

        assertThat(reached).doesNotContainAnyElementsOf(MANAGEMENT);
        assertThat(reached).isEqualTo(WITHIN_REACH);
    }

    @Test
    void whatAGuestInsideTheProcessHoldsLeadsToNothingButItself() {
        var reached = new HashSet<Class<?>>();

        reach(GuestPort.class, reached);

        assertThat(reached).containsExactlyInAnyOrder(GuestPort.class, GuestPort.Sent.class);
    }

    /** The control: a queue itself leads to all of it. */
    @Test
    void whatAQueueLeadsToIsManagement() {
        var reached = new HashSet<Class<?>>();

        reach(Queue.class, reached);

        assertThat(reached).contains(Queue.class, Route.class, Volume.class, CoreLoop.class);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "queue.change(null, null)",
                "queue.start()",
                "queue.route()",
                "queue.loop().stop()",
                "queue.loop().start()",
                "queue.loop().thread()",
                "site.loop().stop()",
                "site.queue().change(null, null)"
            })
    void aGuestsEndThatReachesForManagementDoesNotCompile(String attempt) {
        assertThat(compile(attempt)).singleElement().asString().contains("cannot find symbol");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "queue.ready()",
                "queue.ledger().hasRoom()",
                "queue.loop().clock().nanos()",
                "queue.close(\"goodbye\")",
                "site.loop().clock().nanos()"
            })
    void aGuestsEndThatUsesItsOwnQueueCompiles(String use) {
        assertThat(compile(use)).isEmpty();
    }

    private static void reach(Type type, Set<Class<?>> reached) {
        switch (type) {
            case ParameterizedType generic -> {
                reach(generic.getRawType(), reached);
                Arrays.stream(generic.getActualTypeArguments()).forEach(argument -> reach(argument, reached));
            }
            case WildcardType wildcard ->
                Stream.of(wildcard.getUpperBounds(), wildcard.getLowerBounds())
                        .flatMap(Arrays::stream)
                        .forEach(bound -> reach(bound, reached));
            case GenericArrayType array -> reach(array.getGenericComponentType(), reached);
            case Class<?> c when c.isArray() -> reach(c.getComponentType(), reached);
            case Class<?> c
            when c.getName().startsWith("io.sidecore.") -> {
                if (reached.add(c)) {
                    members(c).forEach(member -> reach(member, reached));
                }
            }
            default -> {}
        }
    }

    /** The types of what an object hands out: by its methods, by its fields, and to the callbacks that its methods take. */
    private static Stream<Type> members(Class<?> c) {
        var methods = Arrays.stream(c.getMethods()).filter(method -> !Modifier.isStatic(method.getModifiers()));
        return Stream.concat(
                methods.flatMap(method -> Stream.concat(
                        Stream.of(method.getGenericReturnType()),
                        Arrays.stream(method.getGenericParameterTypes()).filter(ParameterizedType.class::isInstance))),
                Arrays.stream(c.getFields())
                        .filter(field -> !Modifier.isStatic(field.getModifiers()))
                        .map(java.lang.reflect.Field::getGenericType));
    }

    /** What the compiler has against a guest's end that does this. */
    private List<String> compile(String statement) {
        var source = """
                import io.sidecore.actors.vif.Interposer;
                import io.sidecore.actors.vif.ServiceEnd;

                class Guest {
                    void act(ServiceEnd queue, Interposer.Site site) {
                        %s;
                    }
                }
                """.formatted(statement);
        var unit = new SimpleJavaFileObject(URI.create("string:///Guest.java"), JavaFileObject.Kind.SOURCE) {
            @Override
            public CharSequence getCharContent(boolean ignoreEncodingErrors) {
                return source;
            }
        };
        var classPath = Stream.of(ServiceEnd.class, VifSettings.class)
                .map(c -> Path.of(URI.create(c.getProtectionDomain()
                                .getCodeSource()
                                .getLocation()
                                .toString()))
                        .toString())
                .collect(Collectors.joining(java.io.File.pathSeparator));
        var mistakes = new DiagnosticCollector<JavaFileObject>();
        ToolProvider.getSystemJavaCompiler()
                .getTask(
                        null,
                        null,
                        mistakes,
                        List.of("-proc:none", "-classpath", classPath, "-d", directory.toString()),
                        null,
                        List.of(unit))
                .call();
        return mistakes.getDiagnostics().stream()
                .map(mistake -> mistake.getMessage(java.util.Locale.ROOT))
                .toList();
    }
}
