import i18next from 'i18next'
import { initReactI18next } from 'react-i18next'
import en from '../i18n/en.json'
import vi from '../i18n/vi.json'
import { recall, store } from './local.ts'

export const languages = ['vi', 'en'] as const
export type Language = (typeof languages)[number]

declare module 'i18next' {
  interface CustomTypeOptions {
    // A key that is not in the catalogue does not compile.
    resources: { translation: typeof vi }
  }
}

/** Loads both catalogues and takes the language that was chosen here, else the browser's, else Vietnamese. */
export function startI18n(): void {
  const wanted = navigator.languages.map((tag) => tag.slice(0, 2))
  const preferred = wanted.find((tag) => languages.some((language) => language === tag))
  i18next.use(initReactI18next).init({
    resources: { vi: { translation: vi }, en: { translation: en } },
    lng: recall('language', languages) ?? preferred ?? 'vi',
    fallbackLng: false,
    interpolation: { escapeValue: false },
  })
  document.documentElement.lang = i18next.language
}

export function chooseLanguage(language: Language): void {
  store('language', language)
  document.documentElement.lang = language
  i18next.changeLanguage(language)
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
