export class DrawPage {
  open() {}
}
