#include "binary/arch.h"

#include <ctype.h>
#include <stdio.h>

#include "base/macro.h"
#include "binary/arch_x86_64.h"

static const struct arch *const archs[] = {&arch_x86_64};

const struct arch *arch_of_machine(uint16_t elf_machine)
{
	for (size_t i = 0; i < ARRAY_SIZE(archs); i++)
		if (archs[i]->elf_machine == elf_machine)
			return archs[i];
	return NULL;
}

const struct arch *arch_host(void)
{
	return &arch_x86_64; /* plant/patch, which makes code for it, is built for nothing else */
}

uint8_t arch_dwarf_register(const struct arch *a, uint64_t number)
{
	return number < a->ndwarf_registers ? a->dwarf_registers[number] : REG_NONE;
}

void arch_register_text(const struct arch *a, uint8_t reg, char ret[ARCH_REGISTER_TEXT])
{
	if (reg >= REG_FLOAT && reg != REG_NONE) {
		snprintf(ret, ARCH_REGISTER_TEXT, "%s%d", a->go_float_name, reg - REG_FLOAT);
		return;
	}
	snprintf(ret, ARCH_REGISTER_TEXT, "%s", reg < a->nregisters ? a->registers[reg] : "?");
	for (char *s = ret; *s; s++)
		*s = (char)toupper((unsigned char)*s);
}
