import { computed, effect, signal } from '@preact/signals';

export type Theme = 'light' | 'dark';

const dark = matchMedia('(prefers-color-scheme: dark)');
const systemTheme = signal<Theme>(dark.matches ? 'dark' : 'light');
dark.addEventListener('change', () => {
  systemTheme.value = dark.matches ? 'dark' : 'light';
});

/** The theme that was chosen on the page; null follows the system. */
const chosen = signal<Theme | null>(null);

export const theme = computed(() => chosen.value ?? systemTheme.value);

export function toggleTheme(): void {
  chosen.value = theme.value === 'dark' ? 'light' : 'dark';
}

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});
