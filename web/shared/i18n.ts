import i18next from 'i18next'
import { initReactI18next } from 'react-i18next'
import type vi from '../i18n/vi.json'
import { recall, store } from './local.ts'

export const languages = ['vi', 'en'] as const
export type Language = (typeof languages)[number]
/** Each in itself: whoever looks for theirs may know no other. */
export const languageNames: Record<Language, string> = { vi: 'Tiếng Việt', en: 'English' }

declare module 'i18next' {
  interface CustomTypeOptions {
    // A key that is not in the catalogue does not compile.
    resources: { translation: typeof vi }
  }
}

// Each catalogue comes when it is asked for: nobody reads two languages at once.
const catalogues = {
  vi: () => import('../i18n/vi.json'),
  en: () => import('../i18n/en.json'),
}

/** Takes the language that was chosen here, else the browser's, else Vietnamese, and loads its texts. */
export async function startI18n(): Promise<void> {
  const wanted = navigator.languages.map((tag) => tag.slice(0, 2))
  const preferred = wanted.find((tag): tag is Language => languages.some((language) => language === tag))
  const language = recall('language', languages) ?? preferred ?? 'vi'
  const texts = await catalogues[language]()
  await i18next.use(initReactI18next).init({
    resources: { [language]: { translation: texts.default } },
    lng: language,
    fallbackLng: false,
    interpolation: { escapeValue: false },
  })
  document.documentElement.lang = i18next.language
}

export async function chooseLanguage(language: Language): Promise<void> {
  const texts = await catalogues[language]()
  i18next.addResourceBundle(language, 'translation', texts.default)
  store('language', language)
  document.documentElement.lang = language
  await i18next.changeLanguage(language)
}

const locale = () => (i18next.language === 'vi' ? 'vi-VN' : 'en-GB')

/** 07:58, in the browser's time zone or the given one. */
export function clockTime(time: string | Date, timeZone?: string): string {
  return new Intl.DateTimeFormat(locale(), {
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    timeZone,
  }).format(new Date(time))
}

/** 27/11/2026, 07:58 */
export function dateTime(time: string | Date, timeZone?: string): string {
  return new Intl.DateTimeFormat(locale(), {
    day: '2-digit',
    month: '2-digit',
    year: 'numeric',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    timeZone,
  }).format(new Date(time))
}

/** 27/11/2026 */
export function shortDate(time: string | Date, timeZone?: string): string {
  return new Intl.DateTimeFormat(locale(), {
    day: '2-digit',
    month: '2-digit',
    year: 'numeric',
    timeZone,
  }).format(new Date(time))
}

/** thứ Sáu, 27 tháng 11, 2026 */
export function longDate(time: string | Date, timeZone?: string): string {
  return new Intl.DateTimeFormat(locale(), { dateStyle: 'full', timeZone }).format(new Date(time))
}

export function number(value: number, digits = 0): string {
  return new Intl.NumberFormat(locale(), {
    maximumFractionDigits: digits,
    minimumFractionDigits: digits,
  }).format(value)
}

export function percent(share: number): string {
  return new Intl.NumberFormat(locale(), { style: 'percent', maximumFractionDigits: 0 }).format(share)
}
