# What a trial boot boots (io.sidecore.runtime.guest.qemu.Accelerator): a Multiboot kernel that does what a Linux kernel begins with, and tells
# by QEMU's isa-debug-exit that it came so far: protected mode, page tables, long mode, CPUID, the time stamp counter, a fault through an IDT.
# Where KVM cannot run guests it ends otherwise, or not at all.
#
#     as -o trial.o trial.S && ld -Ttext 0x100000 -e start --build-id=none -z noexecstack -z max-page-size=4096 -s -o trial64.elf trial.o
#     objcopy -O elf32-i386 trial64.elf ../resources/io/sidecore/runtime/guest/qemu/trial.elf
#
# Source: Multiboot Specification 0.6.96, section 3; Intel SDM volume 3, 10.8.5 "Initializing IA-32e Mode".

        .text
        .code32
        .globl start
        .align 4
        .long 0x1badb002                # magic
        .long 0                         # flags
        .long -0x1badb002               # checksum
start:
        movl $stack, %esp
        movl $0x1000, %ecx              # an identity map of the first 2 MiB, in one large page
        movl $pml4, %edi
        xorl %eax, %eax
        rep stosl
        movl $pdpt + 3, pml4
        movl $pd + 3, pdpt
        movl $0x83, pd
        movl $pml4, %eax
        movl %eax, %cr3
        movl %cr4, %eax
        orl $0x20, %eax                 # PAE
        movl %eax, %cr4
        movl $0xc0000080, %ecx          # EFER
        rdmsr
        orl $0x100, %eax                # LME
        wrmsr
        movl %cr0, %eax
        orl $0x80000000, %eax           # PG
        movl %eax, %cr0
        lgdt gdt_pointer
        ljmp $8, $long

        .code64
long:
        movl $16, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %ss
        xorl %eax, %eax
        cpuid
        rdtsc
        movl $caught, %eax              # the gate of "invalid opcode", vector 6
        movw %ax, idt + 6 * 16
        movw $8, idt + 6 * 16 + 2
        movw $0x8e00, idt + 6 * 16 + 4
        shrl $16, %eax
        movw %ax, idt + 6 * 16 + 6
        lidt idt_pointer
        ud2
1:      hlt
        jmp 1b
caught:
        movb $0x2a, %al
        outb %al, $0xf4
2:      hlt
        jmp 2b

        .align 8
gdt:    .quad 0
        .quad 0x00af9a000000ffff        # code, 64 bit
        .quad 0x00cf92000000ffff        # data
gdt_pointer:
        .word . - gdt - 1
        .quad gdt
idt_pointer:
        .word 16 * 16 - 1
        .quad idt

        .bss
        .align 4096
pml4:   .skip 4096
pdpt:   .skip 4096
pd:     .skip 4096
idt:    .skip 4096
        .skip 4096
stack:
